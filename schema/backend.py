"""Whom the resolvers ask: the use cases, the read side and the ports."""

from dataclasses import dataclass

from sagas.catalogue import Catalogue
from sagas.ports import Access, ChangeFeed, Forge
from sagas.service import SagaService
from sagas.store.definitions import DefinitionStore
from sagas.store.queries import Queries
from schema.live import LiveReads


@dataclass(frozen=True, slots=True)
class Backend:
    """Whom resolvers ask; one for the whole process."""

    sagas: SagaService
    queries: Queries
    definitions: DefinitionStore
    catalogue: Catalogue
    forge: Forge
    access: Access
    feed: ChangeFeed
    live: LiveReads

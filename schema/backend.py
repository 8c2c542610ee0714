"""Whom the resolvers ask: the use cases, the read side and the ports."""

from dataclasses import dataclass, field

from sagas.catalogue import Catalogue
from sagas.ports import Access, ChangeFeed, Forge
from sagas.service import SagaService
from sagas.store.definitions import DefinitionStore
from sagas.store.queries import Queries
from schema.limits import SHIPPED, Limits
from schema.live import LiveReads
from schema.rates import Rates
from schema.seats import Seats
from schema.trusted import TrustedDocuments


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
    limits: Limits = SHIPPED
    trusted: TrustedDocuments = field(default_factory=TrustedDocuments)
    rates: Rates = field(init=False)
    seats: Seats = field(init=False)

    def __post_init__(self) -> None:
        """Begin to count."""
        object.__setattr__(self, "rates", Rates(self.limits.rate))
        object.__setattr__(self, "seats", Seats(self.limits))

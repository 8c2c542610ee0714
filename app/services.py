"""What a process of the service works with, and how the parts that need no opening come together."""

from dataclasses import dataclass
from functools import partial
from typing import Protocol

from app.at_work import named_in_logs
from app.auth import Authenticator
from app.telemetry import Telemetry
from gitlab_facade.webhook import WebhookVerifier
from sagas.catalogue import Catalogue
from sagas.engine import Attempting, Engine, EngineSettings
from sagas.ports import Access, Announcer, ChangeFeed, Forge, TaskPublisher
from sagas.retention import bring_back
from sagas.service import Desk, SagaService
from sagas.steps.run import Tools
from sagas.store.database import Database
from sagas.store.definitions import DefinitionStore
from sagas.store.queries import Queries
from schema.backend import Backend
from schema.limits import SHIPPED, Limits
from schema.live import LiveReads
from schema.trusted import TrustedDocuments


class CheckedForge(Forge, Protocol):
    """GitLab, also asked whether it answers."""

    async def version(self) -> str:
        """Its version."""


class CheckedPublisher(TaskPublisher, Protocol):
    """The broker, also asked whether it answers."""

    async def ping(self) -> None:
        """Raises RetryableError where it does not."""


class CheckedFeed(ChangeFeed, Protocol):
    """The hub, also asked whether it hears."""

    def health(self) -> str | None:
        """None: well; text: what is wrong."""


@dataclass(frozen=True)
class Services:
    """Everything that a process of the service works with."""

    database: Database
    forge: CheckedForge
    publisher: CheckedPublisher
    hub: CheckedFeed
    announcer: Announcer
    access: Access
    authenticator: Authenticator
    definitions: DefinitionStore
    desk: Desk
    backend: Backend
    webhooks: WebhookVerifier | None = None
    telemetry: Telemetry | None = None

    @property
    def sagas(self) -> SagaService:
        """The use cases."""
        return self.backend.sagas

    def engine(self, settings: EngineSettings | None = None) -> Engine:
        """An engine over these services, which commands of this process wake at once."""
        publisher: TaskPublisher = self.publisher
        attempting: Attempting = named_in_logs
        if self.telemetry is not None:
            from app.telemetry.steps import ObservedPublisher, observed_steps  # noqa: PLC0415 - loaded where asked for

            publisher = ObservedPublisher(publisher, self.telemetry)
            attempting = observed_steps(self.telemetry, around=named_in_logs)
        tools = Tools(self.forge, publisher, self.database)
        engine = Engine(
            tools, self.definitions, self.announcer, feed=self.hub, settings=settings, attempting=attempting
        )
        self.desk.wakers.append(engine)
        return engine


def assemble(
    *,
    database: Database,
    forge: CheckedForge,
    publisher: CheckedPublisher,
    hub: CheckedFeed,
    announcer: Announcer,
    access: Access,
    authenticator: Authenticator,
    definitions: DefinitionStore,
    catalogue: Catalogue,
    webhooks: WebhookVerifier | None = None,
    telemetry: Telemetry | None = None,
    limits: Limits = SHIPPED,
    trusted: TrustedDocuments | None = None,
) -> Services:
    """The use cases and the API's backend over these adapters."""
    desk = Desk(database, forge, access, definitions, catalogue, announcer)
    queries = Queries(database.engine, bring_back=partial(bring_back, database))
    backend = Backend(
        sagas=SagaService(desk),
        queries=queries,
        definitions=definitions,
        catalogue=catalogue,
        forge=forge,
        access=access,
        feed=hub,
        live=LiveReads(queries),
        limits=limits,
        trusted=trusted or TrustedDocuments(),
    )
    return Services(
        database,
        forge,
        publisher,
        hub,
        announcer,
        access,
        authenticator,
        definitions,
        desk,
        backend,
        webhooks,
        telemetry,
    )

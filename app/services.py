"""What a process of the service works with, and how the parts that need no opening come together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from app.auth import Authenticator
from app.logs import bound
from app.telemetry import Telemetry
from gitlab_facade.webhook import WebhookVerifier
from sagas.catalogue import Catalogue
from sagas.engine import Attempting, Engine, EngineSettings
from sagas.models import Saga
from sagas.ports import Access, Announcer, ChangeFeed, Forge, TaskPublisher
from sagas.results import StepResult
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

log = logging.getLogger(__name__)

STOP_PATIENCE_S = 10.0
"""Longer than an engine's own grace for steps under way."""


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


async def named_in_logs(saga: Saga, attempt: Callable[[], Awaitable[StepResult]]) -> StepResult:
    """What a step logs, wherever it does, names its saga."""
    with bound(saga_id=saga.id, step=f"{saga.state}/{saga.visit}"):
        return await attempt()


@asynccontextmanager
async def running(engine: Engine, *, patience: float = STOP_PATIENCE_S) -> AsyncIterator[None]:
    """The engine at work; at the end it hands over what is under way, within `patience` seconds.

    An engine that fails is logged when it does, and its error is raised at the end.
    """
    task = asyncio.create_task(engine.run(), name="engine")
    task.add_done_callback(_complain)
    try:
        yield
    finally:
        engine.stop()
        await asyncio.wait({task}, timeout=patience)
        if not task.done():
            # Leases run out by themselves: better to end late work hard than never to end.
            log.warning("the engine did not stop within %g s; it is cancelled", patience)
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (failure := task.exception()) is not None:
        log.critical("the engine of this process has failed", exc_info=failure)

"""The HTTP service over a test's world: real PostgreSQL and the real engine; GitLab, broker and rights in memory."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from fastapi import FastAPI

from app.at_work import running
from app.auth import UnauthenticatedError
from app.services import CheckedFeed, Services, assemble
from app.telemetry import Telemetry
from app.web import build_app
from gitlab_facade.webhook import WebhookVerifier
from sagas.ids import SagaId
from sagas.ports import Announcer, Hint, User, Watch
from schema import ids
from schema.limits import SHIPPED, Limits
from schema.trusted import TrustedDocuments
from tests.fake_forge import FakeForge
from tests.fakes import FakePublisher
from tests.world import COLLEAGUE, ENGINEER, FAST, World

TOKENS = {"irina": ENGINEER, "pavel": COLLEAGUE}
WEBHOOK_SECRET = "only-gitlab-knows"


class Tokens:
    """Knows a user by the token that is his name."""

    def __init__(self) -> None:
        self.users = dict(TOKENS)

    async def authenticate(self, token: str | None) -> User:
        if token not in self.users:
            raise UnauthenticatedError("Send a token that is known here.")
        return self.users[token]


class LocalWatch:
    """Collects hints until somebody asks."""

    def __init__(self, saga_id: SagaId | None) -> None:
        self.saga_id = saga_id
        self._changed: set[SagaId] | None = set()
        self._news = asyncio.Event()

    def hear(self, saga_id: SagaId) -> None:
        if self.saga_id in {None, saga_id}:
            if self._changed is not None:
                self._changed.add(saga_id)
            self._news.set()

    def hear_of_a_gap(self) -> None:
        self._changed = None
        self._news.set()

    async def changed(self) -> frozenset[SagaId] | None:
        await self._news.wait()
        self._news.clear()
        changed, self._changed = self._changed, set()
        return None if changed is None else frozenset(changed)


class LocalFeed:
    """Announcer and hub of one process in one: what is announced is heard at once.

    `subscribers` are the watches but the engine's own, which is the first.
    """

    def __init__(self) -> None:
        self.watches: list[LocalWatch] = []
        self.trouble: str | None = None
        self.deaf = False
        """Whether hints get lost."""

    @property
    def subscribers(self) -> list[LocalWatch]:
        return self.watches[1:]

    def announce(self, hints: Sequence[Hint]) -> None:
        for hint in hints:
            for watch in self.watches[:1] if self.deaf else self.watches:
                watch.hear(hint.saga_id)

    @asynccontextmanager
    async def watch(self, saga_id: SagaId | None = None, *, elsewhere: bool = False) -> AsyncIterator[Watch]:
        watch = LocalWatch(saga_id)
        self.watches.append(watch)
        try:
            yield watch
        finally:
            self.watches.remove(watch)

    def health(self) -> str | None:
        return self.trouble


@dataclass
class Api:
    """A client of the service, and the service's insides."""

    app: FastAPI
    http: httpx.AsyncClient
    world: World
    services: Services
    feed: LocalFeed
    tokens: Tokens
    requests: list[dict[str, Any]] = field(default_factory=list)

    async def post(self, query: str, *, token: str | None = "irina", **variables: Any) -> dict[str, Any]:
        """The whole answer to one operation."""
        headers = {"Content-Type": "application/json"} | ({} if token is None else {"Authorization": f"Bearer {token}"})
        # Escaped to ASCII, so that half of a surrogate pair gets through as well.
        body = json.dumps({"query": query, "variables": variables})
        response = await self.http.post("/graphql", content=body, headers=headers)
        answer: dict[str, Any] = response.json()
        return answer

    async def ask(self, query: str, *, token: str | None = "irina", **variables: Any) -> dict[str, Any]:
        """The data of an operation that must not fail."""
        answer = await self.post(query, token=token, **variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def refused(self, query: str, *, token: str | None = "irina", **variables: Any) -> dict[str, Any]:
        """The extensions of the one error of an operation that must fail, with its message."""
        answer = await self.post(query, token=token, **variables)
        (error,) = answer["errors"]
        return {**error["extensions"], "message": error["message"]}


def limit(api: "Api", **changed: Any) -> None:
    """Other limits from here on."""
    backend = api.services.backend
    object.__setattr__(backend, "limits", replace(backend.limits, **changed))


def saga_id(saga: Any) -> str:
    """The global id of a saga's row."""
    return ids.global_id(ids.SAGA, saga.id)


class AnsweringForge(FakeForge):
    """A FakeForge that tells its version, as /readyz asks."""

    down: Exception | None = None

    async def version(self) -> str:
        if self.down is not None:
            raise self.down
        return "19.3.0"


class AnsweringPublisher(FakePublisher):
    """A FakePublisher that answers a ping, as /readyz asks."""

    down: Exception | None = None

    async def ping(self) -> None:
        if self.down is not None:
            raise self.down


@asynccontextmanager
async def serving(
    world: World,
    *,
    engine: bool = True,
    hub: CheckedFeed | None = None,
    announcer: Announcer | None = None,
    telemetry: Telemetry | None = None,
    limits: Limits = SHIPPED,
    trusted: TrustedDocuments | None = None,
) -> AsyncIterator[Api]:
    """The service over the world, with an engine unless a test wants sagas to stand still; changes are heard at once."""
    feed, tokens = LocalFeed(), Tokens()
    services = assemble(
        database=world.database,
        forge=checked_forge(world),
        publisher=checked_publisher(world),
        hub=hub or feed,
        announcer=announcer or feed,
        access=world.access,
        authenticator=tokens,
        definitions=world.definitions,
        catalogue=world.catalogue,
        webhooks=WebhookVerifier(secret=WEBHOOK_SECRET),
        telemetry=telemetry,
        limits=limits,
        trusted=trusted,
    )

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        if not engine:
            yield services
            return
        async with running(services.engine(FAST), patience=4):
            world.desk.wakers.extend(services.desk.wakers)
            yield services

    app = build_app(opened, telemetry=telemetry, limits=limits)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://orchestrator.test") as http,
    ):
        yield Api(app, http, world, services, feed, tokens)


def checked_forge(world: World) -> AnsweringForge:
    """The world's forge, which learns to tell its version."""
    world.forge.__class__ = AnsweringForge
    assert isinstance(world.forge, AnsweringForge)
    return world.forge


def checked_publisher(world: World) -> AnsweringPublisher:
    """The world's broker, which learns to answer a ping."""
    world.publisher.__class__ = AnsweringPublisher
    assert isinstance(world.publisher, AnsweringPublisher)
    return world.publisher

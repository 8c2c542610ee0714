"""Connections: an asyncpg pool for the engine's few hot statements, a SQLAlchemy engine over the same server for reads.

Whatever writes goes through `Database.run`, which keeps a transaction out of reach of the caller's cancellation and
repeats it where the connection broke; so every function given to it must bear being run again.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Self, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from sagas.errors import RetryableError, UnknownOutcomeError
from sagas.faults import crash_point
from sagas.texts import say

T = TypeVar("T")
_CLOSE_S = 5.0
_COMMAND_S = 30
_SERVER_SETTINGS = {
    # A process that is stopped in mid-transaction keeps its locks: nobody could take its sagas over, however long ago
    # their leases ran out. Ours never pause between two statements, so the server may end such a session.
    "idle_in_transaction_session_timeout": "5s",
}
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

CONNECTION_FAILURES: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # asyncpg takes a server that dies between two messages for a fault of its own.
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""What the drivers raise while PostgreSQL is away, restarting or full."""

_REPEATABLE: tuple[type[BaseException], ...] = (
    *CONNECTION_FAILURES,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)

_BY_KEY = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}
"""Every statement of this pool finds few rows by an index. A plan that was made while tables were empty is kept for as
long as the connection lives: it must not be one that reads them whole when they have grown."""


def plain_url(url: str) -> str:
    """The address as asyncpg and libpq take it, without a SQLAlchemy driver name."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def sqlalchemy_engine(
    url: str,
    *,
    command_timeout: float | None = None,
    server_settings: Mapping[str, str] | None = None,
    **options: Any,
) -> AsyncEngine:
    """SQLAlchemy over asyncpg at the address, whose query (`?sslmode=require`) only asyncpg itself can read.

    `options` are those of `create_async_engine`, but for `connect_args`.
    """
    connect = partial(
        asyncpg.connect, plain_url(url), command_timeout=command_timeout, server_settings=dict(server_settings or {})
    )
    return create_async_engine("postgresql+asyncpg://", async_creator=connect, **options)


async def _prepare(connection: Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=dump, decoder=json.loads, schema="pg_catalog", format="text")


async def _leave_as_it_is(_: Connection) -> None:
    """Save the round trip: an open transaction was rolled back already, and no statement here changes its session."""


dump: Callable[[Any], str] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""A document as its column takes it."""


@dataclass(slots=True)
class Database:
    """The two ways to the one PostgreSQL."""

    pool: "asyncpg.Pool[asyncpg.Record]"
    engine: AsyncEngine
    patience: float
    """How long, in seconds, a command waits for a database that is away before it says so."""
    _running: set[asyncio.Task[Any]] = field(default_factory=set)

    @classmethod
    async def open(cls, url: str, *, size: int = 10, patience: float = 5.0) -> Self:
        """Connect; `size` bounds the connections of each of the two pools.

        Raises one of CONNECTION_FAILURES where the server does not answer.
        """
        pool = await asyncpg.create_pool(
            plain_url(url),
            min_size=1,
            max_size=size,
            init=_prepare,
            reset=_leave_as_it_is,
            command_timeout=_COMMAND_S,
            server_settings={**_SERVER_SETTINGS, **_BY_KEY},
        )
        engine = sqlalchemy_engine(
            url,
            command_timeout=_COMMAND_S,
            # Pages differ too much in their filters for one generic plan: it would sort a project's whole history.
            server_settings={**_SERVER_SETTINGS, "plan_cache_mode": "force_custom_plan"},
            poolclass=AsyncAdaptedQueuePool,
            pool_size=size,
            max_overflow=0,
            # A ping before each read would cost as much as the read: one that meets a broken connection is sent again.
            isolation_level="AUTOCOMMIT",
        )
        return cls(pool, engine, patience)

    def connections(self) -> dict[tuple[str, str], int]:
        """How many connections each pool has: ("engine" or "reads", "busy" or "idle")."""
        idle, reads = self.pool.get_idle_size(), self.engine.pool
        counts = {("engine", "busy"): self.pool.get_size() - idle, ("engine", "idle"): idle}
        if isinstance(reads, AsyncAdaptedQueuePool):
            counts |= {("reads", "busy"): reads.checkedout(), ("reads", "idle"): reads.checkedin()}
        return counts

    async def close(self) -> None:
        """Wait for transactions under way, then close every connection."""
        if self._running:
            await asyncio.wait(self._running)
        await self.engine.dispose()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self.pool.close()
        except TimeoutError:
            # A connection that nobody gives back must not keep a process from ending.
            self.pool.terminate()

    async def run(
        self, work: Callable[[Connection], Awaitable[T]], *, point: str | None = None, single: bool = False
    ) -> T:
        """Run `work` in one transaction that the caller's cancellation cannot cut in half.

        `single`: it writes by one statement only, which is a transaction by itself and saves two round trips.

        Where the connection breaks, the whole is run again for up to `patience` seconds. A COMMIT whose answer was lost
        may have happened: `work` must find its own earlier success and return it. `point` names the crash points around
        the COMMIT.

        Raises RetryableError("DATABASE_UNAVAILABLE") where the database stays away, and its UnknownOutcomeError where
        it went away during the COMMIT and did not come back to tell.
        """
        return await self.shielded(self._patiently(_Attempt(work, point, single=single)))

    async def shielded(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` in a task of its own: cancelling the caller leaves it to finish."""
        return await in_own_task(work, self._running)

    async def _patiently(self, attempt: "_Attempt[T]") -> T:
        deadline = asyncio.get_running_loop().time() + self.patience
        pause = 0.05
        while True:
            try:
                async with self.pool.acquire(timeout=self.patience) as connection:
                    await attempt.run(connection)
            except _REPEATABLE as failure:
                # Once the COMMIT was answered, handing back a broken connection takes nothing from it.
                if not attempt.answers and asyncio.get_running_loop().time() + pause > deadline:
                    raise (in_doubt() if attempt.in_doubt else database_unavailable()) from failure
            if attempt.answers:
                return attempt.answers[0]
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, 1.0)

    async def read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run read-only statements without a transaction, with the same patience."""
        deadline = asyncio.get_running_loop().time() + self.patience
        while True:
            try:
                async with self.pool.acquire(timeout=self.patience) as connection:
                    return await work(connection)
            except _REPEATABLE as failure:
                if asyncio.get_running_loop().time() > deadline:
                    raise database_unavailable() from failure
            await asyncio.sleep(0.1)


async def in_own_task(work: Coroutine[Any, Any, T], running: set[asyncio.Task[Any]]) -> T:
    """Await `work` in a task that is in `running` until it ends: cancelling the caller leaves it to finish."""
    task = asyncio.create_task(work)
    running.add(task)
    task.add_done_callback(partial(_let_go, running))
    return await asyncio.shield(task)


def _let_go(running: set[asyncio.Task[Any]], ended: asyncio.Task[Any]) -> None:
    running.discard(ended)
    if not ended.cancelled():
        # Looked at, because where the caller has gone nobody else does, and asyncio would log it with a traceback.
        ended.exception()


async def once_more(read: Callable[[], Awaitable[T]]) -> T:
    """Read by SQLAlchemy, again where the connection turns out to have broken since it was last used."""
    try:
        return await read()
    except DBAPIError as failure:
        # The pool has thrown away all connections of that age: what it gives out now is new.
        if not failure.connection_invalidated:
            raise
        return await read()


class _Attempt(Generic[T]):
    """One piece of work on its way through as many transactions as it takes; `answers` has its answer once committed."""

    def __init__(self, work: Callable[[Connection], Awaitable[T]], point: str | None, *, single: bool) -> None:
        self._work = work
        self._point = point
        self._single = single
        self.answers: list[T] = []
        self.in_doubt = False
        """Whether a COMMIT was sent whose answer never came."""

    async def run(self, connection: Connection) -> None:
        """Do the work in one transaction."""
        if self._single:
            self._pass("before")
            self.in_doubt = True
            answer = await self._work(connection)
        else:
            async with connection.transaction():
                answer = await self._work(connection)
                self._pass("before")
                self.in_doubt = True
        self._pass("after")
        self.answers.append(answer)

    def _pass(self, side: str) -> None:
        if self._point is not None:
            crash_point(f"database.{self._point}.{side}")


def in_doubt() -> UnknownOutcomeError:
    """The error of a command whose COMMIT was sent, and whose answer the database never gave."""
    return UnknownOutcomeError(
        "DATABASE_UNAVAILABLE",
        say(
            "The service's database went away before it confirmed; the request may have been accepted. Look, "
            "or send it again with the same idempotency key."
        ),
    )


def database_unavailable() -> RetryableError:
    """The error of a command that found no database."""
    return RetryableError(
        "DATABASE_UNAVAILABLE",
        say("The service's database does not answer; nothing was changed. Try again in a moment."),
    )

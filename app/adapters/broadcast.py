"""Hints between processes: broadcaster over PostgreSQL LISTEN/NOTIFY that reconnects, or over Redis by URL.

broadcaster's own PostgreSQL backend shares one connection without a lock and never notices that it was lost; this one
has a connection for listening and one for notifying, a heartbeat, and tells its subscribers to read again (`RESYNC`)
after every gap. Messages are hints, ids only: each may be lost or doubled.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import asyncpg
from broadcaster import Broadcast, BroadcastBackend, Event

from sagas.ids import SagaId
from sagas.ports import Hint
from sagas.store.database import CONNECTION_FAILURES, plain_url

logger = logging.getLogger(__name__)

CHANNEL = "saga_changes"
RESYNC = "resync"
LARGEST_PAYLOAD = 7_900
"""Bytes; PostgreSQL refuses 8,000 and more."""

_HEARTBEAT_S = 5.0
_ANSWER_S = 3.0
_QUEUE = 1_000
_SHORTEST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0


class ListeningPostgres(BroadcastBackend):
    """A broadcaster backend that outlives its connections."""

    def __init__(self, url: str, *, heartbeat_s: float = _HEARTBEAT_S, answer_s: float = _ANSWER_S) -> None:
        """`heartbeat_s`: seconds between two questions whether the connection lives; `answer_s`: patience for each."""
        self._url = plain_url(url)
        self._heartbeat_s = heartbeat_s
        self._answer_s = answer_s
        self._channels: set[str] = set()
        self._events: asyncio.Queue[Event] = asyncio.Queue(_QUEUE)
        self._listening: asyncpg.Connection | None = None
        self._notifying: asyncpg.Connection | None = None
        self._listen_lock = asyncio.Lock()
        self._notify_lock = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def listens(self) -> bool:
        """Whether the LISTEN connection is up."""
        return self._listening is not None

    async def connect(self) -> None:
        """Begin to listen; a server that is away is waited for in the background."""
        self._keeper = asyncio.create_task(self._keep_listening(), name="listen")

    async def disconnect(self) -> None:
        """Close both connections."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for connection in (self._listening, self._notifying):
            if connection is not None:
                connection.terminate()
        self._listening = self._notifying = None

    async def subscribe(self, channel: str) -> None:
        """Listen to the channel, now and after every reconnect."""
        self._channels.add(channel)
        async with self._listen_lock:
            if self._listening is not None:
                with suppress(*CONNECTION_FAILURES):
                    await self._listening.add_listener(channel, self._heard)

    async def unsubscribe(self, channel: str) -> None:
        """Stop listening to the channel."""
        self._channels.discard(channel)
        async with self._listen_lock:
            if self._listening is not None and not self._listening.is_closed():
                with suppress(*CONNECTION_FAILURES):
                    await self._listening.remove_listener(channel, self._heard)

    async def publish(self, channel: str, message: str) -> None:
        """Notify; raises what the driver raises where the server is away."""
        async with self._notify_lock:
            connection = self._notifying
            if connection is None or connection.is_closed():
                # A hint that a crashing server forgets is a lost hint: its COMMIT need not wait for the disk.
                hasty = {"synchronous_commit": "off"}
                connection = self._notifying = await asyncpg.connect(
                    self._url, timeout=self._answer_s, server_settings=hasty
                )
            try:
                await connection.execute("SELECT pg_notify($1, $2)", channel, message, timeout=self._answer_s)
            except BaseException:
                connection.terminate()
                self._notifying = None
                raise

    async def next_published(self) -> Event:
        """The next message, or RESYNC where some may have been missed."""
        return await self._events.get()

    async def _keep_listening(self) -> None:
        pause = _SHORTEST_PAUSE_S
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._listen_until_lost()
            except CONNECTION_FAILURES as failure:
                logger.info("LISTEN: PostgreSQL does not answer: %s", failure)
            except asyncpg.PostgresError as failure:
                # A changed password, a database that is being restored: somebody will mend it.
                logger.warning("LISTEN: PostgreSQL refuses: %s", failure)
            except Exception:
                logger.exception("LISTEN: broke; connecting again")
            if asyncio.get_running_loop().time() - began > _LONGEST_PAUSE_S:
                pause = _SHORTEST_PAUSE_S
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _listen_until_lost(self) -> None:
        connection = await asyncpg.connect(self._url, timeout=self._answer_s)
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            async with self._listen_lock:
                for channel in tuple(self._channels):
                    await connection.add_listener(channel, self._heard)
                self._listening = connection
            self._resync()
            while not lost.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._heartbeat_s):
                        await lost.wait()
                if not lost.is_set():
                    async with self._listen_lock:
                        await connection.execute("SELECT 1", timeout=self._answer_s)
            logger.warning("LISTEN: the connection was lost; connecting again")
        finally:
            self._listening = None
            connection.terminate()

    def _heard(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        self._put(Event(channel, str(payload)))

    def _resync(self) -> None:
        for channel in self._channels:
            self._put(Event(channel, RESYNC))

    def _put(self, event: Event) -> None:
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            # Rather one "read again" than a growing queue of hints.
            while not self._events.empty():
                self._events.get_nowait()
            self._resync()


@asynccontextmanager
async def open_broadcast(url: str) -> AsyncIterator[Broadcast]:
    """Broadcaster over the URL: our PostgreSQL backend for a PostgreSQL address, broadcaster's own for others.

    Raises ValueError for an address that cannot be used here.
    """
    async with _broadcast(url) as broadcast:
        yield broadcast


def _broadcast(url: str) -> Broadcast:
    scheme = url.partition("://")[0]
    if scheme.partition("+")[0] in {"postgres", "postgresql"}:
        return Broadcast(backend=ListeningPostgres(url))
    try:
        return Broadcast(url)
    except ImportError as missing:
        raise ValueError(
            f"Announcements over {scheme} need the Python package {missing.name}; install it, or leave "
            "ORCHESTRATOR_BROADCAST_URL unset to use PostgreSQL."
        ) from missing


class BroadcastAnnouncer:
    """Announces changes, coalesced without a timer: what gathers while one message is under way goes with the next."""

    def __init__(
        self, broadcast: Broadcast, *, local: Callable[[Sequence[Hint]], None] | None = None, name: str = ""
    ) -> None:
        """`local` hears the hints at once, so that this process's own subscribers need not wait for the round trip.

        `name` is the hub's of this process, by which it knows the echo of what it heard so.
        """
        self._broadcast = broadcast
        self._local = local
        self._name = name
        self._pending: dict[SagaId, int] = {}
        self._sending: asyncio.Task[None] | None = None

    def announce(self, hints: Sequence[Hint]) -> None:
        """Queue the hints and return at once."""
        if self._local is not None:
            self._local(hints)
        for hint in hints:
            self._pending[hint.saga_id] = max(hint.version, self._pending.get(hint.saga_id, 0))
        if self._pending and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._send(), name="announce")

    async def aclose(self) -> None:
        """Send what is pending, briefly."""
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=_ANSWER_S)
            self._sending.cancel()

    async def _send(self) -> None:
        while self._pending:
            pending, self._pending = self._pending, {}
            for message in _messages(self._name, pending.items()):
                try:
                    await self._broadcast.publish(CHANNEL, message)
                except Exception as failure:  # noqa: BLE001 - whatever transport is behind it: a hint may be lost
                    logger.info("an announcement was lost: %s", failure)


def _messages(name: str, hints: Iterable[tuple[SagaId, int]]) -> list[str]:
    messages: list[str] = []
    for saga_id, version in hints:
        text = f"{saga_id}:{version}"
        if messages and len(messages[-1]) + 1 + len(text) <= LARGEST_PAYLOAD:
            messages[-1] += f",{text}"
        else:
            messages.append(f"{name}/{text}" if name else text)
    return messages


def sender(message: str) -> str:
    """The name of the hub whose process sent the message; empty where it did not say."""
    return message.rpartition("/")[0]


def read_hints(message: str) -> list[Hint] | None:
    """The hints of a message; None for RESYNC, and for what cannot be read: then anything may have changed."""
    if message == RESYNC:
        return None
    try:
        pairs = [text.split(":") for text in message.rpartition("/")[2].split(",")]
        return [Hint(SagaId(UUID(saga_id)), int(version)) for saga_id, version in pairs]
    except ValueError:
        logger.warning("an announcement that cannot be read: %.80r", message)
        return None

"""The hub: one listener per process, any number of subscribers.

It hears hints over broadcaster and, as a safety net for lost ones, walks the journal once a second with one statement.
A subscription is a flag and a small set: constant memory however slow its reader, and what it holds are ids only; the
reader takes the state from the database.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

from broadcaster import Broadcast

from app.adapters.broadcast import CHANNEL, read_hints, sender
from sagas.errors import RetryableError
from sagas.ids import SagaId
from sagas.ports import Hint
from sagas.store import feed
from sagas.store.database import Database
from sagas.store.feed import Position, Walk

logger = logging.getLogger(__name__)

SAFETY_READ_S = 1.0
_PAGE = 1_000
_LARGEST_SET = 1_000
_REMEMBERED = 10_000


class Subscription:
    """One reader's news, kept until it asks: which sagas changed, or that anything may have."""

    def __init__(self) -> None:
        self._changed: set[SagaId] | None = set()
        self._flag = asyncio.Event()

    async def changed(self) -> frozenset[SagaId] | None:
        """Wait for news and take them; None: anything may have changed."""
        await self._flag.wait()
        self._flag.clear()
        changed, self._changed = self._changed, set()
        return None if changed is None else frozenset(changed)

    def tell(self, saga_id: SagaId) -> None:
        """Keep that the saga changed; too many at once become "anything"."""
        if self._changed is not None:
            self._changed.add(saga_id)
            if len(self._changed) > _LARGEST_SET:
                self._changed = None
        self._flag.set()

    def tell_all(self) -> None:
        """Keep that anything may have changed."""
        self._changed = None
        self._flag.set()


class Hub:
    """Fans changes out to the subscriptions of this process."""

    def __init__(self, broadcast: Broadcast, database: Database, *, safety_read_s: float = SAFETY_READ_S) -> None:
        self._broadcast = broadcast
        self._database = database
        self._safety_read_s = safety_read_s
        self._of_one: dict[SagaId, set[Subscription]] = {}
        self._of_all: set[Subscription] = set()
        self._of_others: set[Subscription] = set()
        self.name = uuid4().hex[:8]
        """By which it knows the echo of what it was told in this process already."""
        self._told: OrderedDict[SagaId, int] = OrderedDict()
        """The newest version told per saga: what the safety read finds again wakes nobody."""
        self._tasks: list[asyncio.Task[None]] = []
        self._complete_at = time.monotonic()
        self._trouble: str | None = "the journal has not been read yet"

    async def start(self) -> None:
        """Begin to listen; a database that is away is waited for in the background."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="hub listener"),
            asyncio.create_task(self._walk(), name="hub safety read"),
        ]

    async def aclose(self) -> None:
        """Stop listening; subscriptions hear nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def health(self) -> str | None:
        """None where changes are heard; else what keeps them from being heard."""
        dead = [task.get_name() for task in self._tasks if task.done()]
        return f"{dead[0]} has stopped" if dead else self._trouble

    def lag_s(self) -> float:
        """Seconds since every change was last known to have been told; about one while all is well."""
        return time.monotonic() - self._complete_at

    @asynccontextmanager
    async def watch(self, saga_id: SagaId | None = None, *, elsewhere: bool = False) -> AsyncIterator[Subscription]:
        """Changes of one saga, or of all; whoever reads the database after entering misses nothing.

        `elsewhere`: of all, but only what other processes announce.
        """
        subscription = Subscription()
        of_many = self._of_others if elsewhere else self._of_all
        readers = of_many if saga_id is None else self._of_one.setdefault(saga_id, set())
        readers.add(subscription)
        try:
            yield subscription
        finally:
            readers.discard(subscription)
            if saga_id is not None and not readers and self._of_one.get(saga_id) is readers:
                del self._of_one[saga_id]

    def hint(self, hints: Sequence[Hint]) -> None:
        """Tell the subscriptions concerned of what this process did itself.

        A hint without a new version counts too: it may be a webhook's.
        """
        for hint in hints:
            self._remember(hint)
            for subscription in self._of_one.get(hint.saga_id, ()):
                subscription.tell(hint.saga_id)
            for subscription in self._of_all:
                subscription.tell(hint.saga_id)

    def _heard(self, hints: Sequence[Hint]) -> None:
        self.hint(hints)
        for hint in hints:
            for subscription in self._of_others:
                subscription.tell(hint.saga_id)

    def resync(self) -> None:
        """Hints may have been missed: let every subscription read again."""
        for readers in (self._of_all, self._of_others, *self._of_one.values()):
            for subscription in readers:
                subscription.tell_all()

    async def _listen(self) -> None:
        async with self._broadcast.subscribe(CHANNEL) as subscriber:
            while True:
                event = await subscriber.get()
                if sender(event.message) == self.name:
                    continue
                hints = read_hints(event.message)
                if hints is None:
                    self.resync()
                else:
                    self._heard(hints)

    async def _walk(self) -> None:
        position: Position | None = None
        while True:
            try:
                if position is None:
                    # Versions may have gone back where the database was set back to a dump.
                    self._told.clear()
                    position = await self._database.read(feed.present)
                    # From here on nothing is missed; what was before is each subscription's own first read.
                    self.resync()
                position = await self._catch_up(position)
                self._trouble, self._complete_at = None, time.monotonic()
            except RetryableError as away:
                self._trouble = away.message
                # A server that crashed gives transaction ids that it had not written down again: begin anew.
                position = None
            except Exception as failure:
                logger.exception("the safety read broke")
                self._trouble = f"the safety read broke: {failure}"
                position = None
            await asyncio.sleep(self._safety_read_s)

    async def _catch_up(self, position: Position) -> Position:
        while True:
            step = await self._step(position)
            if step.reset:
                self._told.clear()
                self.resync()
            self._heard([hint for hint in step.hints if hint.version > self._told.get(hint.saga_id, 0)])
            position = step.position
            if len(step.hints) < _PAGE:
                return position

    async def _step(self, position: Position) -> Walk:
        return await self._database.read(lambda connection: feed.walk(connection, position, limit=_PAGE))

    def _remember(self, hint: Hint) -> None:
        self._told[hint.saga_id] = max(hint.version, self._told.get(hint.saga_id, 0))
        self._told.move_to_end(hint.saga_id)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

"""The engine: claim, act, record.

Any number of engines on any number of machines share one database. A saga is leased by one of them while a step runs;
when its process dies, the lease runs out and the row is due again by itself. Nothing is kept in memory that is not in
the database, so an engine may be killed at any instruction.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeAlias

from sagas.context import SagaContext
from sagas.errors import RetryableError, StaleLease
from sagas.ids import LeaseToken, SagaId
from sagas.models import Saga
from sagas.ports import Announcer, ChangeFeed
from sagas.recorder import Recorder
from sagas.results import StepResult, TryAgain
from sagas.retention import Retention, sweep
from sagas.steps import perform
from sagas.steps.run import StepRun, Tools
from sagas.store import claims, tidying
from sagas.store.claims import Held
from sagas.store.clock import DatabaseClock
from sagas.store.definitions import DefinitionStore
from sagas.store.outcomes import Outcome
from sagas.texts import say
from sagas.watcher import Watcher

logger = logging.getLogger(__name__)

_LOST = "saga %s: the lease was lost; somebody else goes on"

Attempting: TypeAlias = Callable[[Saga, Callable[[], Awaitable[StepResult]]], Awaitable[StepResult]]
"""Goes around each attempt of a step, for whoever wants to tell of it; it returns what the attempt reports."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How an engine paces itself."""

    lease: timedelta = timedelta(seconds=6)
    renew_every: timedelta = timedelta(seconds=2)
    poll_every: timedelta = timedelta(seconds=1)
    """The safety net only: commands, signals and announcements wake the engine at once."""
    lately: timedelta = timedelta(minutes=1)
    """A poll looks for what became due within this time."""
    poll_all_every: timedelta = timedelta(minutes=3)
    """Beside it is looked for whatever is due: what somebody else's lock has hidden for longer than that."""
    concurrency: int = 64
    """Steps under way at once."""
    looks_at_once: int = 8
    looks_per_minute: int = 1200
    """Of all processes together, while no webhook comes."""
    tidy_every: timedelta = timedelta(hours=1)
    retention: Retention = field(default_factory=Retention)
    grace: timedelta = timedelta(seconds=5)
    """How long a graceful stop lets steps finish their effect before it hands their sagas over."""


class Engine:
    """One engine of this process."""

    def __init__(
        self,
        tools: Tools,
        definitions: DefinitionStore,
        announcer: Announcer,
        *,
        feed: ChangeFeed | None = None,
        settings: EngineSettings | None = None,
        attempting: Attempting | None = None,
    ) -> None:
        self._tools = tools
        self._definitions = definitions
        self._feed = feed
        self._settings = settings or EngineSettings()
        self._attempting = attempting
        self._clock = DatabaseClock()
        self._recorder = Recorder(
            tools.database, definitions.get, announcer, lease=self._settings.lease, clock=self._clock
        )
        self._watcher = Watcher(
            tools,
            definitions,
            announcer,
            wake=self.kick,
            at_once=self._settings.looks_at_once,
            per_minute=self._settings.looks_per_minute,
        )
        self._news = asyncio.Event()
        self._stopping = asyncio.Event()
        self._driving: dict[asyncio.Task[None], Held] = {}
        self._reporting: set[Held] = set()
        """Whose steps are done and being recorded."""
        self._full = False
        self._named: set[SagaId] = set()
        """Sagas of which somebody told: claiming these by their keys reads no index of due ones, however full of
        dead entries it may be. Those of which nobody told are found by the next poll."""
        self._look_for_any = True
        self._next_poll = 0.0
        self._behind = asyncio.Event()
        """Set where something may be due for longer than a poll looks back."""

    def kick(self, sagas: Iterable[SagaId] = ()) -> None:
        """There is something to do now; with these sagas, where they are known."""
        named = frozenset(sagas)
        self._named |= named
        self._look_for_any |= not named
        self._news.set()

    def kick_all(self) -> None:
        """Something changed outside: look for due sagas and for waiting ones."""
        self.kick()
        self._watcher.kick()

    async def run(self) -> None:
        """Work until `stop` is called or the task is cancelled; then hand over what is under way."""
        works = [self._renew_leases, self._watcher.run, self._tidy]
        if self._feed is not None:
            works.append(partial(self._follow, self._feed))
        helpers = [asyncio.create_task(_kept_up(work)) for work in works]
        self._behind.set()
        claiming_old = asyncio.create_task(self._claim_old())
        try:
            await self._claim_loop()
        finally:
            self._stopping.set()
            self._behind.set()
            for helper in helpers[1:]:
                helper.cancel()
            # Not cut off: what it is claiming has to be handed over too.
            await claiming_old
            await self._hand_over()
            helpers[0].cancel()
            await self._recorder.aclose()
            await asyncio.gather(*helpers, return_exceptions=True)

    def stop(self) -> None:
        """Claim nothing more, let the steps under way finish their effect, release every lease."""
        self._stopping.set()
        self._news.set()

    # -- claim

    async def _claim_loop(self) -> None:
        while not self._stopping.is_set():
            self._news.clear()
            free = self._settings.concurrency - len(self._driving)
            claimed = await self._claim(free) if free > 0 else []
            await self._begin(claimed)
            # There may be more, for which a step must end first.
            self._full = len(claimed) >= free or bool(self._named)
            if self._full and len(self._driving) < self._settings.concurrency:
                await asyncio.sleep(0)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll_every.total_seconds()):
                    await self._news.wait()

    async def _claim(self, limit: int) -> list[Saga]:
        began = asyncio.get_running_loop().time()
        any_due = self._look_for_any or began >= self._next_poll
        named = None if any_due else [self._named.pop() for _ in range(min(limit, len(self._named)))]
        self._look_for_any = False
        if any_due:
            if began - self._next_poll > self._settings.lately.total_seconds() / 2:
                self._behind.set()
            self._next_poll = began + self._settings.poll_every.total_seconds()
        claimed = await self._take(limit, among=named, due_within=self._settings.lately)
        if any_due and len(claimed) >= limit:
            # It takes those that wait longest, of which others may be left.
            self._behind.set()
        return claimed

    async def _claim_old(self) -> None:
        """Beside the loop, whatever is due: at the start, where something may be behind, and now and then.

        Where somebody holds an old snapshot, such a look may read dead entries for a second, which nobody else must wait for.
        """
        pause = self._settings.poll_every.total_seconds()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll_all_every.total_seconds()):
                    await self._behind.wait()
            if self._stopping.is_set():
                return
            self._behind.clear()
            free = self._settings.concurrency - len(self._driving)
            claimed = await self._take(free, due_within=claims.EVER) if free > 0 else []
            await self._begin(claimed)
            if len(claimed) >= free:
                self._behind.set()
            if self._behind.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stopping.wait()

    async def _take(self, limit: int, *, among: list[SagaId] | None = None, due_within: timedelta) -> list[Saga]:
        try:
            taking = claims.Claim(limit=limit, lease=self._settings.lease, among=among, due_within=due_within)
            claimed = await self._tools.database.run(taking, point="claim", single=True)
        except RetryableError:
            logger.warning("the database does not answer; claiming again in a moment")
            self._behind.set()
        except Exception:
            logger.exception("claiming broke; claiming again in a moment")
            self._behind.set()
        else:
            if claimed and claimed[0].due_at is not None:
                # Their leases began at the database's time.
                self._clock.heard(claimed[0].due_at - self._settings.lease)
            return claimed
        return []

    async def _begin(self, claimed: Sequence[Saga]) -> None:
        if self._stopping.is_set():
            # Among them may be what this very stop has just handed over.
            await self._release([_held(saga) for saga in claimed])
            return
        for saga in claimed:
            held = _held(saga)
            task = asyncio.create_task(self._drive(saga, held))
            self._driving[task] = held
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._driving.pop(task, None)
        if self._full:
            self._news.set()

    # -- act and record

    async def _drive(self, saga: Saga, held: Held) -> None:
        try:
            context = SagaContext.from_json(saga.context)
            while True:
                if self._attempting is None:
                    result = await self._perform(saga, context, held)
                else:
                    result = await self._attempting(saga, partial(self._perform, saga, context, held))
                self._reporting.add(held)
                try:
                    change = await self._recorder.recorded(Outcome(held, result, saga, context))
                finally:
                    self._reporting.discard(held)
                saga, context = change.saga, change.context
                if not change.keep_lease:
                    if saga.due_at is not None and saga.due_at <= change.now:
                        # News came while the step ran.
                        self.kick([held.saga_id])
                    return
                if self._stopping.is_set():
                    await self._release([held])
                    return
        except StaleLease:
            logger.info(_LOST, saga.id)
        except Exception:
            # The lease runs out by itself and the saga is claimed again: late, but never lost.
            logger.exception("saga %s: the step %s could not be recorded", saga.id, saga.state)

    async def _perform(self, saga: Saga, context: SagaContext, held: Held) -> StepResult:
        try:
            definition = await self._definitions.get(saga.definition_name, saga.definition_version)
            run = StepRun(
                saga=saga,
                definition=definition,
                context=context,
                tools=self._tools,
                guard=lambda: self._guard(held),
            )
            return await perform(run)
        except Exception:
            logger.exception("saga %s: the step %s broke", saga.id, saga.state)
            return TryAgain(
                RetryableError(
                    "INTERNAL_ERROR", say("The step {state} broke; the service's log says where.", state=saga.state)
                )
            )

    async def _guard(self, held: Held) -> float:
        """Prove the lease right before an outside write, and give the write its full length; returns until when."""
        until = asyncio.get_running_loop().time() + self._settings.lease.total_seconds()
        if held not in await self._renew([held]):
            raise StaleLease
        return until

    # -- leases

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._settings.renew_every.total_seconds())
            driving = dict(self._driving)
            if not driving:
                continue
            try:
                still = await self._renew(list(driving.values()))
            except RetryableError:
                # Nothing is known: the guard before the next write and the fence at the outcome ask again.
                continue
            for task, held in driving.items():
                # A report that is there already has given its lease up, maybe before its answer came, or without one: cut
                # off, nobody would be told of it. Reports that come too late the fence refuses.
                if held not in still and held not in self._reporting and task.cancel():
                    logger.info(_LOST, held.saga_id)

    async def _renew(self, held: list[Held]) -> frozenset[Held]:
        return await self._tools.database.run(
            lambda connection: claims.renew(connection, held, lease=self._settings.lease), point="renew"
        )

    async def _hand_over(self) -> None:
        under_way = dict(self._driving)
        if under_way:
            await asyncio.wait(under_way, timeout=self._settings.grace.total_seconds())
        late = {task: held for task, held in self._driving.items() if not task.done()}
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await self._release(list(late.values()))

    async def _release(self, held: list[Held]) -> None:
        if not held:
            return
        with suppress(RetryableError):
            await self._tools.database.run(lambda connection: claims.release(connection, held), point="release")

    async def _tidy(self) -> None:
        while True:
            with suppress(RetryableError):
                await self._tools.database.run(tidying.forget_old, point="tidy")
                await sweep(self._tools.database, self._settings.retention)
            await asyncio.sleep(self._settings.tidy_every.total_seconds())

    # -- hints

    async def _follow(self, feed: ChangeFeed) -> None:
        # What this process announces itself, its engine knows.
        async with feed.watch(elsewhere=True) as watch:
            while True:
                self.kick(await watch.changed() or ())
                self._watcher.kick()


def _held(saga: Saga) -> Held:
    if saga.lease_token is None:
        raise AssertionError("a claimed saga carries its lease")
    return Held(SagaId(saga.id), LeaseToken(saga.lease_token))


async def _kept_up(work: Callable[[], Awaitable[None]]) -> None:
    """Run a loop that must never end; one that breaks says so and begins again."""
    while True:
        try:
            await work()
        except Exception:
            logger.exception("%s broke; it begins again", getattr(work, "__qualname__", work))
        await asyncio.sleep(1)

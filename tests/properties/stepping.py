"""The engine taken apart: one claim, one act, one record at a time, so that anything can come between them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf
from typing import Any

import asyncpg
import pytest

from sagas.context import SagaContext
from sagas.errors import StaleLease
from sagas.ids import LeaseToken, SagaId
from sagas.models import Saga
from sagas.recorder import Recorder
from sagas.results import StepResult
from sagas.steps import perform
from sagas.steps.run import StepRun
from sagas.store import claims, unchanged
from sagas.store.claims import Held
from sagas.store.clock import DatabaseClock
from sagas.store.outcomes import Outcome
from sagas.watcher import Watcher
from tests.world import World

LEASE = timedelta(seconds=600)
"""Longer than any example runs: leases end where a rule says so."""


@dataclass
class Worker:
    """One owner of a lease, on its way between claim and record."""

    saga: Saga
    held: Held
    result: StepResult | None = None
    stale: bool = False
    """Its step found that the lease was lost: there is nothing to record."""


@dataclass
class Stepper:
    """Does the engine's work for one world, when it is told to."""

    world: World
    workers: list[Worker] = field(default_factory=list)
    loses_answer: bool = False
    """Whether the answer to the next write without a lock is lost, be it a command's or an outcome's."""
    _clock: DatabaseClock = field(default_factory=DatabaseClock)

    async def claim(self) -> bool:
        taken = await self.world.database.run(claims.Claim(limit=1, lease=LEASE))
        self.workers += [self._worker(saga) for saga in taken]
        for saga in taken:
            assert saga.due_at is not None
            self._clock.heard(saga.due_at - LEASE)
        return bool(taken)

    def _worker(self, saga: Saga) -> Worker:
        assert saga.lease_token is not None
        return Worker(saga, Held(SagaId(saga.id), LeaseToken(saga.lease_token)))

    async def act(self, worker: Worker) -> None:
        definition = await self.world.definitions.get(worker.saga.definition_name, worker.saga.definition_version)

        async def guard() -> float:
            if worker.held not in await self.world.database.run(
                lambda connection: claims.renew(connection, [worker.held], lease=LEASE)
            ):
                raise StaleLease
            return inf

        context = SagaContext.from_json(worker.saga.context)
        try:
            worker.result = await perform(StepRun(worker.saga, definition, context, self.world.tools, guard))
        except StaleLease:
            worker.stale = True

    async def record(self, worker: Worker) -> bool:
        """Write the report; False where the lease was lost. A worker that keeps its lease goes on with the next step."""
        assert worker.result is not None
        self.workers.remove(worker)
        context = SagaContext.from_json(worker.saga.context)
        outcome = Outcome(worker.held, worker.result, worker.saga, context)
        database, announcer = self.world.database, self.world.announcer
        recorder = Recorder(database, self.world.definitions.get, announcer, lease=LEASE, clock=self._clock)
        try:
            change = await recorder.recorded(outcome)
        except StaleLease:
            return False
        if change.keep_lease:
            self.workers.append(self._worker(change.saga))
        return True

    @contextmanager
    def losing_answers(self) -> Iterator[None]:
        """Have answers lost where it is said: the write is through, and its connection breaks."""
        write = unchanged.move

        async def move(*given: Any, **named: Any) -> Any:
            moved = await write(*given, **named)
            if self.loses_answer:
                self.loses_answer = False
                raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
            return moved

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(unchanged, "move", move)
            yield

    async def look(self) -> None:
        """Have the watcher look after whatever waits, now."""
        await self.execute("UPDATE saga SET look_at = clock_timestamp() WHERE look_at IS NOT NULL")
        watcher = Watcher(
            self.world.tools,
            self.world.definitions,
            self.world.announcer,
            wake=lambda _: None,
            at_once=8,
            per_minute=1200,
            sure=timedelta(0),
        )
        await watcher._round()

    async def execute(self, statement: str) -> None:
        await self.world.database.run(lambda connection: connection.execute(statement))

    async def let_time_pass(self) -> None:
        """Every back-off is over; leases and deadlines are as they were."""
        await self.execute("UPDATE saga SET due_at = clock_timestamp() WHERE next_attempt_at = due_at")

    async def work_off(self) -> None:
        """Do whatever an engine would do by itself, until nothing is due."""
        for _ in range(150):
            await self.let_time_pass()
            if not self.workers and not await self.claim():
                return
            for worker in list(self.workers):
                await self.act(worker)
                if worker.stale:
                    self.workers.remove(worker)
                else:
                    await self.record(worker)
        raise AssertionError("the saga is busy without end")

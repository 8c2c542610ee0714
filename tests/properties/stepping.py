"""The engine taken apart: one claim, one act, one record at a time, so that anything can come between them."""

from dataclasses import dataclass, field
from datetime import timedelta
from math import inf

from sagas.context import SagaContext
from sagas.errors import StaleLease
from sagas.ids import LeaseToken, SagaId
from sagas.models import Saga
from sagas.results import StepResult
from sagas.steps import perform
from sagas.steps.run import StepRun
from sagas.store import claims
from sagas.store.claims import Held
from sagas.store.outcomes import Outcome, Recording
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

    async def claim(self) -> bool:
        taken = await self.world.database.run(claims.Claim(limit=1, lease=LEASE))
        self.workers += [self._worker(saga) for saga in taken]
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
        outcome = Outcome(worker.held, worker.result, worker.saga)
        recording = Recording([outcome], definitions=self.world.definitions.get, lease=LEASE)
        change = (await self.world.database.run(recording)).get(worker.held)
        if change is not None and change.keep_lease:
            self.workers.append(self._worker(change.saga))
        return change is not None

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

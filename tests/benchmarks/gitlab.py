"""GitLab's share: requests and connections per Balance saga, and many sagas before a GitLab that is slow to answer.

python -m tests.benchmarks.gitlab [--json] [--sagas N] [--rounds N]

GitLab is the emulator over real git repositories, reached by HTTP through the service's own facade. `--sagas` are in
flight all at once, from their start to their first form, while each request is answered 100 ms late.
"""

import asyncio
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any
from uuid import uuid4

from app.at_work import running
from sagas.catalogue import Catalogue
from sagas.definitions import shipped_definitions
from sagas.engine import Engine
from sagas.ids import SagaId
from sagas.models import Saga, SagaStatus
from sagas.ports import Project, User
from sagas.service import Desk, SagaService
from sagas.steps.run import Tools
from sagas.store import commands
from sagas.store.database import Database
from sagas.store.definitions import DefinitionStore
from tests.benchmarks.durable import durable_server
from tests.benchmarks.report import Measure, Options, less_is_better, more_is_better, options, show
from tests.benchmarks.workload import run
from tests.contract.server_world import ServerWorld
from tests.fakes import FakeAccess, FakeAnnouncer, FakePublisher
from tests.support import eventually
from tests.support_emulator import ADMIN_TOKEN, Emulator, start_emulator
from tests.world import CATALOGUE

NAME = "gitlab"
CONCURRENCY = 8
"""The default of ORCHESTRATOR_GITLAB_CONCURRENCY."""
DELAY_S = 0.1
BUDGET = 75
"""Requests of the service per Balance saga; what they are for stands in docs/performance.md."""
USER = User(7, "irina", "Irina Sokolova", "irina@example.test")
CALCULATIONS = ("condenser", "feedwater_heaters", "balance")
_PATIENCE_S = 600


@dataclass
class Stage:
    """An engine and the use cases over the emulator."""

    emulator: Emulator
    world: ServerWorld
    project: Project
    database: Database
    service: SagaService
    publisher: FakePublisher

    async def start(self, branch: str) -> SagaId:
        await self.world.forge.create_branch(self.project.id, branch, ref="main")
        return SagaId((await self._start(branch)).id)

    async def _start(self, branch: str) -> Saga:
        return (await self.service.start_balance(USER, project_path=self.project.path, branch=branch)).saga

    async def reaches(self, saga_id: SagaId, status: SagaStatus, state: str | None = None) -> None:
        async def there() -> Saga:
            saga = await self.database.read(lambda connection: commands.saga(connection, saga_id))
            assert saga is not None
            if saga.status is SagaStatus.FAILED:
                raise RuntimeError(f"the saga has failed: {saga.error}")
            assert saga.status is status
            assert state in {None, saga.state}
            return saga

        await eventually(there, timeout=_PATIENCE_S, every=0.05)

    async def whole_saga(self, branch: str) -> list[dict[str, Any]]:
        """One Balance saga from start to end; the requests that the service made for it."""
        await self.world.forge.create_branch(self.project.id, branch, ref="main")
        before = self.seen()
        saga_id = SagaId((await self._start(branch)).id)
        for calculation in CALCULATIONS:
            if calculation != "balance":
                form = f"AWAIT_USER_{calculation.upper()}_INPUT"
                await self.reaches(saga_id, SagaStatus.AWAITING_INPUT, form)
                await self.service.advance(USER, saga_id, step=form, values={"load": 5})
            await self.reaches(saga_id, SagaStatus.AWAITING_RESULT, f"AWAIT_{calculation.upper()}_RESULT")
            message = f"Calculate\n\nCorrelation-Id: {self.publisher.last().id}\n"
            await asyncio.to_thread(
                self.world.write,
                self.project,
                branch,
                f"{calculation}_output.json",
                '{"of": "' + calculation + '"}\n',
                message=message,
            )
            await self.service.webhook(delivery_id=str(uuid4()), project_id=self.project.id, branch=branch)
        await self.reaches(saga_id, SagaStatus.COMPLETED)
        return self.requests_since(before)

    def seen(self) -> int:
        """The number of the newest request."""
        return max((request["seq"] for request in self.emulator.requests_seen()), default=0)

    def requests_since(self, number: int) -> list[dict[str, Any]]:
        """The service's own requests after that one."""
        seen = self.emulator.requests_seen(since=number)
        return [request for request in seen if request["user"] == self.world.service.username]


@asynccontextmanager
async def opened(url: str, emulator: Emulator) -> AsyncIterator[Stage]:
    """A stage with a project of its own."""
    world = ServerWorld(emulator.url, ADMIN_TOKEN)
    project = world.add_project({"balance_input.json": '{\n  "condenser": {\n    "load": 3\n  }\n}\n'})
    database = await Database.open(url)
    catalogue, announcer, publisher = Catalogue.from_json(CATALOGUE), FakeAnnouncer(), FakePublisher()
    definitions = DefinitionStore(database)
    await definitions.register(shipped_definitions(catalogue).values())
    desk = Desk(database, world.forge, FakeAccess(), definitions, catalogue, announcer)
    engine = Engine(Tools(world.forge, publisher, database), definitions, announcer)
    desk.wakers.append(engine)
    try:
        async with running(engine):
            yield Stage(emulator, world, project, database, SagaService(desk), publisher)
    finally:
        await world.forge.aclose()
        await database.close()


@contextmanager
def counted_connections() -> Iterator[list[str]]:
    """What urllib3 says of each new connection to a GitLab within the block."""
    told: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("Starting new HTTP"):
                told.append(record.getMessage())

    logger, listener = logging.getLogger("urllib3.connectionpool"), Listener()
    level = logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.DEBUG)
    try:
        yield told
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)


async def measure(url: str, given: Options) -> list[Measure]:
    """First whole sagas one by one, then many at once before a slow GitLab."""
    with tempfile.TemporaryDirectory() as directory, start_emulator(Path(directory) / "gitlab") as emulator:
        async with opened(url, emulator) as stage:
            await stage.whole_saga("issue/0-first")
            with counted_connections() as connections:
                made = [await stage.whole_saga(f"issue/{number}-whole") for number in range(1, given.rounds + 1)]
            requests = [float(len(each)) for each in made]
            rates, possible, lost = await _slow(stage, given)
    return [
        less_is_better(NAME, "requests_per_saga", requests, "requests", [float(BUDGET)] * len(requests)),
        Measure(NAME, "new_connections_per_saga", round(len(connections) / given.rounds, 3), "connections", 0),
        more_is_better(NAME, "requests_per_second_at_100_ms", rates, "1/s", possible),
        Measure(NAME, "lost", lost, "sagas", 0),
    ]


async def _slow(stage: Stage, given: Options) -> tuple[list[float], list[float], int]:
    names = [f"issue/{number}-slow" for number in range(1, given.sagas + 1)]
    for name in names:
        await stage.world.forge.create_branch(stage.project.id, name, ref="main")
    stage.emulator.faults(path="/api/v4/", delay_s=DELAY_S)
    before, began = stage.seen(), time.perf_counter()
    try:
        sagas = await asyncio.gather(*(stage._start(name) for name in names))
        await asyncio.gather(*(stage.reaches(SagaId(saga.id), SagaStatus.AWAITING_INPUT) for saga in sagas))
    finally:
        stage.emulator.clear_faults()
    taken = time.perf_counter() - began
    made = stage.requests_since(before)
    # No more than so many can be under way, each for as long as GitLab itself took for it.
    possible = CONCURRENCY / (mean(request["duration_ms"] for request in made) / 1000)
    waiting = "SELECT count(*) FROM saga WHERE status = 'AWAITING_INPUT'"
    there = await stage.database.read(lambda connection: connection.fetchval(waiting))
    return [len(made) / taken], [possible], given.sagas - int(there)


def main() -> None:
    given, as_json = options("Requests to GitLab per saga, and many sagas before a slow one.", sagas=200)
    with durable_server() as url:
        show(run(measure(url, given)), as_json=as_json)


if __name__ == "__main__":
    main()

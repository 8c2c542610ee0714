"""The measured saga: 5 durable steps, one input, 5 durable steps; run by the service's own engine, over PostgreSQL.

Its steps are the product's CHECK steps, which read (from GitLab in memory) and write nothing outside, so that what is
measured is the engine and the database. Versions: 1 is the start, 6 waits for input, 7 has it, 12 is the end.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import psutil
from uvicorn.loops.auto import auto_loop_factory

from app.adapters.broadcast import BroadcastAnnouncer, open_broadcast
from app.at_work import running
from app.garbage import collect_less_often
from app.live import Hub
from sagas.catalogue import Catalogue
from sagas.definition import COMPLETED, Action, SagaDefinition, Step, StepKind, Transition, Trigger
from sagas.engine import Engine, EngineSettings
from sagas.ids import SagaId
from sagas.models import Saga
from sagas.ports import Hint, Project
from sagas.service import Desk, SagaService
from sagas.states import PREPARE_BRANCH, prepare_branch_step
from sagas.steps.run import Tools
from sagas.store.database import Database, plain_url
from sagas.store.definitions import DefinitionStore
from tests.fakes import ENGINEER, FakeAccess, FakeForge, FakePublisher
from tests.world import CATALOGUE

T = TypeVar("T")

FORM = "AWAIT_INPUT"
WAITING, STEPPED, ENDED = 6, 8, 12
TRANSITIONS = ENDED
_FORM = "condenser"
"""The calculation whose input file is on the branch: checking it leaves the draft that its form needs."""
_ABSENT = "feedwater_heaters"
"""The calculation of all other steps: nothing of it is on the branch, so that a step writes nothing but itself."""
_PATIENCE_S = 60.0


def definition(catalogue: Catalogue) -> SagaDefinition:
    """The workload's chart, under the name by which the use case starts a saga."""
    before = [f"CHECK_{number}" for number in range(1, 6)]
    after = [f"CHECK_{number}" for number in range(6, 11)]
    return SagaDefinition(
        name="balance",
        title={"en": "Benchmark", "ru": "Замер"},
        steps=(
            prepare_branch_step(),
            *(_check(name, _ABSENT) for name in before[:-1]),
            _check(before[-1], _FORM),
            Step(FORM, StepKind.INPUT, calculation=_FORM),
            *(_check(name, _ABSENT) for name in after),
            Step(COMPLETED, StepKind.FINAL),
        ),
        transitions=(
            Transition(PREPARE_BRANCH, Trigger.DONE, before[0]),
            *_chain(before),
            Transition(before[-1], Trigger.INPUT_FOUND, FORM),
            Transition(FORM, Trigger.INPUT_RECEIVED, after[0]),
            *_chain([*after, COMPLETED]),
        ),
        calculations={name: catalogue.calculation(name).to_json() for name in (_FORM, _ABSENT)},
    )


def _check(name: str, calculation: str) -> Step:
    return Step(name, StepKind.ACTION, Action.CHECK, calculation)


def _chain(states: Sequence[str]) -> Iterator[Transition]:
    for source, target in pairwise(states):
        yield Transition(source, Trigger.INPUT_MISSING, target)


class Versions:
    """The newest version that was announced of each saga, and who waits for one."""

    def __init__(self) -> None:
        self.newest: dict[SagaId, int] = {}
        self._waiting: dict[SagaId, tuple[int, asyncio.Future[None]]] = {}

    def hear(self, hints: Sequence[Hint]) -> None:
        for hint in hints:
            self.newest[hint.saga_id] = max(hint.version, self.newest.get(hint.saga_id, 0))
            version, reached = self._waiting.get(hint.saga_id, (0, None))
            if reached is not None and hint.version >= version and not reached.done():
                reached.set_result(None)

    async def reached(self, saga_id: SagaId, version: int) -> None:
        """Wait until the saga's version was announced; TimeoutError where it never is."""
        if self.newest.get(saga_id, 0) >= version:
            return
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[saga_id] = (version, reached)
        async with asyncio.timeout(_PATIENCE_S):
            await reached
        del self._waiting[saga_id]


@dataclass(frozen=True)
class Service:
    """The product at work: use cases, an engine, the hub and its announcements."""

    database: Database
    forge: FakeForge
    project: Project
    sagas: SagaService
    hub: Hub
    versions: Versions

    def branch(self, number: int) -> str:
        """A branch of its own for each saga in flight, since one may write to it at a time."""
        name = f"issue/{number}-bench"
        self.forge.add_branch(self.project, name)
        return name

    async def start(self, branch: str) -> SagaId:
        answer = await self.sagas.start_balance(
            ENGINEER, project_path=self.project.path, branch=branch, idempotency_key=str(uuid4())
        )
        return SagaId(answer.saga.id)

    async def give_input(self, saga_id: SagaId) -> Saga:
        answer = await self.sagas.advance(
            ENGINEER, saga_id, step=FORM, values={"load": 5}, idempotency_key=str(uuid4())
        )
        return answer.saga

    async def run_one(self, branch: str) -> None:
        """One saga from start to end."""
        saga_id = await self.start(branch)
        await self.versions.reached(saga_id, WAITING)
        await self.give_input(saga_id)
        await self.versions.reached(saga_id, ENDED)


@asynccontextmanager
async def service(url: str) -> AsyncIterator[Service]:
    """The service as `serve` wires it, but with GitLab and the broker in memory."""
    database = await Database.open(url)
    try:
        catalogue = Catalogue.from_json(CATALOGUE)
        definitions = DefinitionStore(database)
        await definitions.register([definition(catalogue)])
        forge, publisher, versions = FakeForge(), FakePublisher(), Versions()
        files = {"balance_input.json": "{}\n", "condenser_input.json": json.dumps({"load": 3}) + "\n"}
        project = forge.add_project("plant/unit", files)
        async with open_broadcast(url) as broadcast:
            hub = Hub(broadcast, database)
            await hub.start()

            def tell(hints: Sequence[Hint]) -> None:
                versions.hear(hints)
                hub.hint(hints)

            announcer = BroadcastAnnouncer(broadcast, local=tell, name=hub.name)
            desk = Desk(database, forge, FakeAccess(), definitions, catalogue, announcer)
            engine = Engine(
                Tools(forge, publisher, database), definitions, announcer, feed=hub, settings=EngineSettings()
            )
            desk.wakers.append(engine)
            async with running(engine):
                yield Service(database, forge, project, SagaService(desk), hub, versions)
            await announcer.aclose()
            await hub.aclose()
    finally:
        await database.close()


async def server_cpu_s(url: str) -> float:
    """The CPU that PostgreSQL has used since its start, all of its processes together."""
    connection = await asyncpg.connect(plain_url(url))
    directory = Path(await connection.fetchval("SHOW data_directory"))
    await connection.close()
    postmaster = psutil.Process(int((directory / "postmaster.pid").read_text().split()[0]))
    used = postmaster.cpu_times()
    total = float(used.user + used.system + used.children_user + used.children_system)
    for backend in postmaster.children():
        with suppress(psutil.Error):
            used = backend.cpu_times()
            total += used.user + used.system
    return total


def cpu_s() -> float:
    """The CPU that this process has used."""
    used = psutil.Process().cpu_times()
    return float(used.user + used.system)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run the work on the event loop that `serve` and `engine` have, with their pace of collecting garbage."""
    collect_less_often()
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        return runner.run(work)

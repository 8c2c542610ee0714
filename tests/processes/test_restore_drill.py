"""The restore drill: the database is set back to a dump from the middle of a run; its sagas go on and adopt what GitLab has.

One run is played to its end, and its database dumped at several moments, most of them in the middle of an effect. Then
each dump is restored in turn, and the client repeats what the database has forgotten: nothing is committed again, the
tasks have the ids that they had, and there is one merge request.
"""

import asyncio
from collections.abc import AsyncIterator, Container, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.services import Services
from sagas.ids import ProjectId, SagaId
from sagas.models import Saga, SagaStatus
from sagas.service import MergeRequestAnswer
from sagas.store import commands
from tests.processes.stage import Stage
from tests.support import eventually
from tests.support_emulator import Emulator
from tests.support_postgres import TestServer

pytestmark = [pytest.mark.crash, pytest.mark.timeout(400), pytest.mark.xdist_group("restore drill")]

MOMENTS = (
    "gitlab.create_branch.after",
    "gitlab.create_commit.before",
    "gitlab.create_commit.after",
    "AWAIT_USER_CONDENSER_INPUT",
    "gitlab.create_commit.before",
    "gitlab.create_commit.after",
    "broker.publish.after",
    "AWAIT_CONDENSER_RESULT",
    "broker.publish.before",
    "gitlab.create_merge_request.before",
    "gitlab.create_merge_request.after",
)
"""In the order of the run: crash points at which an engine dies, and a state in which the saga waits."""
BRANCH = "issue/1-new-tubes"
PATIENCE_S = 120.0


@dataclass
class Drill:
    """A run that was played to its end, and the dumps of its database."""

    stage: Stage
    server: TestServer
    folder: Path
    dumps: list[Path] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=dict)

    def look(self) -> dict[str, Any]:
        """What must not depend on a restore."""
        return {
            "in GitLab": {name: found for name, found in self.stage.in_gitlab().items() if name != "messages"},
            "effects": self.stage.effects(BRANCH),
            "tasks": self.stage.rows("SELECT id, state, status FROM calculation_task ORDER BY state"),
            "published": set(self.stage.received),
            "ends": sorted(
                {(name, status) for name, status in self.stage.rows("SELECT definition_name, status FROM saga")}
            ),
        }

    async def rehearse(self) -> None:
        """Play the run, with an engine for each moment, and dump the database at each."""
        async with self.stage.services() as services:
            # The states in which the client lets the saga wait until it was seen there.
            held = {moment for moment in MOMENTS if "." not in moment}
            client = asyncio.create_task(play(self.stage, services, held))
            for number, moment in enumerate(MOMENTS):
                await self._come_to(moment, f"engine-{number}")
                self.dumps.append(self.folder / f"{number}.dump")
                await asyncio.to_thread(self.server.dump, self.stage.database_url, self.dumps[-1])
                held.discard(moment)
            self.stage.engine("last")
            async with asyncio.timeout(PATIENCE_S):
                await client
            await eventually(self.stage.at_rest, timeout=PATIENCE_S)
        self.stage.processes["last"].end()
        self.end = self.look()

    async def _come_to(self, moment: str, name: str) -> None:
        if "." in moment:
            engine = self.stage.engine(name, crash_at=moment)
            await eventually(engine.is_dead, timeout=PATIENCE_S, what=f"an engine dies at {moment}")
            return
        engine = self.stage.engine(name)
        waits = "SELECT id FROM saga WHERE state = %s AND lease_token IS NULL"
        await eventually(lambda: self.stage.rows(waits, moment), timeout=PATIENCE_S, what=f"the saga waits in {moment}")
        engine.kill()


async def play(stage: Stage, services: Services, held: Container[str] = ()) -> MergeRequestAnswer:
    """The client: starts, fills in each form with the same values, and asks for the merge request at the end.

    In the states that are `held` it does nothing.
    """
    api, engineer = services.sagas, stage.engineer
    answer = await api.start_balance(engineer, project_path=stage.project.path, issue_iid=1, idempotency_key="start")
    saga = answer.saga
    while saga.status is not SagaStatus.COMPLETED:
        assert saga.status is not SagaStatus.FAILED, saga.error
        if saga.state in held:
            pass
        elif saga.status is SagaStatus.AWAITING_INPUT:
            key = f"{saga.state}/{saga.visit}"
            await api.advance(engineer, SagaId(saga.id), step=saga.state, values={"load": 5}, idempotency_key=key)
        elif saga.status is SagaStatus.AWAITING_RESULT:
            await api.webhook(delivery_id=str(uuid4()), project_id=ProjectId(saga.project_id), branch=saga.branch)
        await asyncio.sleep(0.2)
        saga = await now(services, saga)
    return await api.create_merge_request(
        engineer, project_path=stage.project.path, source_branch=saga.branch, idempotency_key="merge"
    )


async def now(services: Services, saga: Saga) -> Saga:
    found = await services.database.read(lambda connection: commands.saga(connection, saga.id))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def drill(postgres: TestServer, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    folder = tmp_path_factory.mktemp("drill")
    with postgres.database() as url:
        stage = Stage(emulator, url, folder)
        try:
            made = Drill(stage, postgres, folder)
            with stage.worker():
                asyncio.run(made.rehearse())
            yield made
        finally:
            stage.close()


@asynccontextmanager
async def restored(drill: Drill, number: int) -> AsyncIterator[Services]:
    """The database as it was at the moment; an engine and a worker go on from there."""
    drill.server.restore(drill.stage.database_url, drill.dumps[number])
    engine = drill.stage.engine(f"restored-{number}")
    with drill.stage.worker():
        async with drill.stage.services() as services:
            yield services
    assert engine.end() == 0


def test_the_run_that_is_dumped_is_whole(drill: Drill) -> None:
    assert drill.end["effects"] == {
        f"{step}/1": 1
        for step in (
            "HYDRATE_CONDENSER",
            "COMMIT_CONDENSER_INPUT",
            "HYDRATE_FEEDWATER_HEATERS",
            "COMMIT_FEEDWATER_HEATERS_INPUT",
        )
    }
    assert [(state, status) for _, state, status in drill.end["tasks"]] == [
        (f"DISPATCH_{name}", "SUCCEEDED") for name in ("BALANCE", "CONDENSER", "FEEDWATER_HEATERS")
    ]
    assert drill.end["in GitLab"]["merge requests"] == [(1, "opened")]
    assert drill.end["ends"] == [("balance", "COMPLETED"), ("merge_request", "COMPLETED")]


@pytest.mark.parametrize("number", range(len(MOMENTS)), ids=[f"{n}-{name}" for n, name in enumerate(MOMENTS)])
async def test_sagas_of_a_restored_database_adopt_what_gitlab_has(number: int, drill: Drill) -> None:
    async with restored(drill, number) as services:
        async with asyncio.timeout(PATIENCE_S):
            opened = await play(drill.stage, services)
        await eventually(drill.stage.at_rest, timeout=PATIENCE_S)
    assert opened.merge_request.iid == 1
    assert drill.look() == drill.end

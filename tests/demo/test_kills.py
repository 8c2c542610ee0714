"""Any process of the demo may be killed at any moment: the story still ends, and nothing was done twice.

Each test kills one process once, at a moment that its seed chooses; they share a running demo, which must also outlive
all the kills before.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.demo.client import GraphQLClient, bare_id
from app.demo.scenario import Finished, Job, ScenarioFailedError, play
from app.demo.seed import PROJECT_PATH
from tests.demo.stack import RunningDemo, Witness, running_demo
from tests.support import eventually

pytestmark = [pytest.mark.demo, pytest.mark.crash, pytest.mark.timeout(300), pytest.mark.xdist_group("kills")]

SEEDS = range(1, 1 + int(os.environ.get("ORCHESTRATOR_TEST_SEEDS", "3")))
SERVICES = ("postgres", "gitlab", "api", "engine", "worker")
STEPS = 20
"""So many things happen in a story, at least; the kill comes at one of them."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


async def story(demo: RunningDemo, job: Job, witness: Witness) -> Finished:
    async with GraphQLClient(demo.endpoints()["graphql"]) as client:
        try:
            return await play(client, job, witness)
        except ScenarioFailedError as failure:
            raise AssertionError(f"{failure}\n{witness.written.getvalue()}\n{demo.logs()}") from failure


def assert_done_once(demo: RunningDemo, finished: Finished, folder: Path) -> None:
    """Each commit, task and merge request of the story exists exactly once."""
    clone = demo.clone(finished.branch, folder)
    saga = bare_id(finished.saga_id)
    assert set(clone.trailers("Saga-Id")) == {saga}
    steps = Counter(clone.trailers("Saga-Step"))
    wanted = [
        f"{step}/1"
        for name in ("CONDENSER", "FEEDWATER_HEATERS")
        for step in (f"HYDRATE_{name}", f"COMMIT_{name}_INPUT")
    ]
    assert steps == Counter(dict.fromkeys(wanted, 1))

    tasks = demo.rows("SELECT id::text, calculation, status FROM calculation_task WHERE saga_id = %s", saga)
    assert sorted(calculation for _, calculation, _ in tasks) == ["balance", "condenser", "feedwater_heaters"]
    assert {status for _, _, status in tasks} == {"SUCCEEDED"}
    results = Counter(clone.trailers("Correlation-Id"))
    assert results == Counter({task: 1 for task, _, _ in tasks}), "one commit of the worker's for each task"

    project = demo.gitlab().projects.get(PROJECT_PATH)
    requests = project.mergerequests.list(source_branch=finished.branch, state="all", get_all=True)
    assert [request.web_url for request in requests] == [finished.merge_request]
    assert clone.document("balance_output.json")["power_mw"] == pytest.approx(finished.power_mw)
    versions = [
        version for (version,) in demo.rows("SELECT version FROM saga_event WHERE saga_id = %s ORDER BY 1", saga)
    ]
    assert versions == list(range(1, len(versions) + 1)), "the journal has no gap"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("victim", SERVICES)
async def test_killing_a_process_at_a_random_moment_leaves_everything_done_once(
    demo: RunningDemo, victim: str, seed: int, tmp_path: Path
) -> None:
    chance = random.Random(f"{victim} {seed}")
    moment, delay = chance.randint(2, STEPS), chance.uniform(0, 0.3)
    killed: list[int] = []

    def kill() -> None:
        pid = demo.pid(victim)
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    def at_step(number: int) -> None:
        if number == moment:
            asyncio.get_running_loop().call_later(delay, kill)

    await eventually(demo.all_alive, timeout=60, what="the last kill is mended")
    witness = Witness(at_step)
    finished = await story(demo, demo.new_job(), witness)

    assert killed, f"the story had {moment} steps"
    assert demo.process.poll() is None
    assert_done_once(demo, finished, tmp_path / "clone")

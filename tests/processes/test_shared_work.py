"""Two API and three engine processes on one database share the work; one that ends, in whatever way, leaves it to others."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.demo.client import Data, GraphQLClient
from sagas.models import SagaStatus
from tests.processes.stage import BRANCH, Stage
from tests.processes.test_stalled_engines import PATIENCE_S, run_condenser
from tests.processes.users import change, fill_in, look
from tests.support import eventually

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

SAGAS = 6
TAKEOVER = timedelta(seconds=10)
STEPS = {
    f"{step}/1": 1
    for step in (
        "HYDRATE_CONDENSER",
        "COMMIT_CONDENSER_INPUT",
        "HYDRATE_FEEDWATER_HEATERS",
        "COMMIT_FEEDWATER_HEATERS_INPUT",
    )
}
"""A whole Balance run's commits."""
_HELD = """
SELECT saga.id FROM saga WHERE lease_token IS NOT NULL
AND 'engine-1' = (SELECT owner FROM lease_taken WHERE saga_id = saga.id ORDER BY at DESC LIMIT 1)
"""
_NEXT_OWNER = (
    "SELECT owner, min(at) FROM lease_taken WHERE saga_id = %s AND owner <> 'engine-1' AND at > %s GROUP BY owner"
)


async def play(clients: list[GraphQLClient], stage: Stage, branch: str) -> Data:
    """One Balance run from its start to its end, each request at the next API."""
    turn = 0

    def api() -> GraphQLClient:
        nonlocal turn
        turn += 1
        return clients[turn % len(clients)]

    given = {"projectPath": stage.project.path, "branch": branch, "idempotencyKey": branch}
    saga = (await change(api(), "startBalanceCalculation", given))["saga"]

    async def ended() -> Data | None:
        now = await look(api(), saga["id"])
        assert now["status"] != SagaStatus.FAILED, now["error"]
        if now["status"] == SagaStatus.AWAITING_INPUT:
            await fill_in(api(), now)
        return now if now["status"] == SagaStatus.COMPLETED else None

    return await eventually(ended, timeout=PATIENCE_S, every=0.3)


@pytest.mark.alone
async def test_a_killed_engines_sagas_go_on_elsewhere_within_ten_seconds(set_stage: Any) -> None:
    stage: Stage = set_stage(lease_s=6)
    branches = [f"issue/{number}-load" for number in range(20, 20 + SAGAS)]
    for branch in branches:
        stage.make_branch(branch)
    # It dies in the middle of its third commit, with whatever else it holds.
    victim = stage.engine("engine-1", crash_at="gitlab.create_commit.after:3")
    for name in ("engine-2", "engine-3"):
        stage.engine(name)
    async with AsyncExitStack() as closing:
        clients = []
        for name in ("api-1", "api-2"):
            stage.api(name)
            await stage.answers(name)
            clients.append(await closing.enter_async_context(GraphQLClient(stage.graphql(name))))
        stage.tell_of_pushes("api-2")
        closing.enter_context(stage.worker())
        runs = [asyncio.create_task(play(clients, stage, branch)) for branch in branches]
        await eventually(victim.is_dead, timeout=PATIENCE_S)
        ((died,),) = stage.rows("SELECT clock_timestamp()")
        held = [saga for (saga,) in stage.rows(_HELD)]
        ended = await asyncio.gather(*runs)

    assert held, "it died with a saga in its hands"
    takeovers: list[tuple[str, datetime]] = [
        min(stage.rows(_NEXT_OWNER, saga, died - TAKEOVER), key=at) for saga in held
    ]
    assert max(took for _, took in takeovers) - died < TAKEOVER
    assert {saga["status"] for saga in ended} == {SagaStatus.COMPLETED}
    shares = Counter(owner for (owner,) in stage.rows("SELECT owner FROM lease_taken"))
    assert set(shares) == {"engine-1", "engine-2", "engine-3"}, "all three had their share"
    for branch in branches:
        assert stage.effects(branch) == STEPS
    assert stage.rows("SELECT status, count(*)::int FROM calculation_task GROUP BY 1") == [("SUCCEEDED", 3 * SAGAS)]


def at(owner_and_time: tuple[str, datetime]) -> datetime:
    return owner_and_time[1]


@pytest.mark.parametrize("within_grace", [True, False], ids=["within its grace", "too slow for its grace"])
async def test_an_engine_that_is_asked_to_end_hands_over_at_once(within_grace: bool, set_stage: Any) -> None:
    """The other engine does not wait for the lease's end, which is a minute away; and the commit is not made twice."""
    stage: Stage = set_stage(lease_s=60)
    fault = stage.delay("POST", "/repository/commits$", 2 if within_grace else 9)
    leaver = stage.engine("leaver")
    async with stage.services() as services:
        await run_condenser(stage, services.sagas)
        await eventually(lambda: stage.hits(fault), timeout=PATIENCE_S)
        stage.engine("stayer")
        leaver.ask_to_end()
        await eventually(lambda: stage.at_rest() and stage.hits(fault, done=True), timeout=50)
    assert leaver.end_status() == 0
    owners = [owner for (owner,) in stage.rows("SELECT owner FROM lease_taken ORDER BY at")]
    assert (owners[0], owners[-1]) == ("leaver", "stayer")
    assert [status for _, status, _, _ in stage.sagas()] == [SagaStatus.AWAITING_RESULT]
    assert stage.effects(BRANCH) == {"COMMIT_CONDENSER_INPUT/1": 1}

"""NF-ORCH-1, design section 11: an engine that is stopped in the middle of an effect and woken after its lease changes nothing.

One test for each kind of effect and each side of it: before it, when the lease was just proven, and after it, when the
outcome is not recorded yet. Another engine takes the saga over meanwhile and does, or adopts, the effect.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import pytest

from sagas.ids import SagaId
from sagas.models import SagaStatus
from sagas.ports import Json
from sagas.service import SagaService
from tests.processes.nursery import ServiceProcess
from tests.processes.stage import BRANCH, Stage
from tests.support import eventually

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

MADE_BRANCH = "issue/1-new-tubes"
VALUES: dict[str, Json] = {"load": 5}
PATIENCE_S = 90.0
LATE_S = 6.0
"""Of a request: several leases, and enough for the successor to go on first."""

Story = Callable[[Stage, SagaService], Awaitable[None]]


async def start_on_issue(stage: Stage, service: SagaService) -> None:
    await service.start_balance(stage.engineer, project_path=stage.project.path, issue_iid=1)


async def start_on_branch(stage: Stage, service: SagaService) -> None:
    await service.start_balance(stage.engineer, project_path=stage.project.path, branch=BRANCH)


async def run_condenser(stage: Stage, service: SagaService) -> None:
    await service.run_calculation(
        stage.engineer, project_path=stage.project.path, branch=BRANCH, calculation="condenser", values=VALUES
    )


async def open_merge_request(stage: Stage, service: SagaService) -> None:
    stage.emulator.commit(stage.project.id, BRANCH, {"condenser_input.json": "{}"})
    await service.create_merge_request(stage.engineer, project_path=stage.project.path, source_branch=BRANCH)


async def cancel_run(stage: Stage, service: SagaService) -> None:
    await run_condenser(stage, service)
    await cancel_once(stage, service, SagaStatus.AWAITING_RESULT)


async def cancel_on_issue(stage: Stage, service: SagaService) -> None:
    await start_on_issue(stage, service)
    await cancel_once(stage, service, SagaStatus.AWAITING_INPUT)


async def cancel_once(stage: Stage, service: SagaService, status: SagaStatus) -> None:
    def identity() -> UUID | None:
        ((saga, now, *_),) = stage.sagas()
        return saga if now == status else None

    saga = await eventually(identity, timeout=PATIENCE_S)
    await service.cancel(stage.engineer, SagaId(saga), reason="wrong plant")


@dataclass(frozen=True)
class Effect:
    """A kind of effect: its point, the story that comes to it, and how it shows that it was done once."""

    name: str
    point: str
    story: Story
    status: SagaStatus
    """Where the saga rests afterwards."""
    once: Callable[[Stage], object]
    shows: object
    """What `once` finds, of one effect and no more."""


EFFECTS = (
    Effect(
        "branch creation",
        "gitlab.create_branch",
        start_on_issue,
        SagaStatus.AWAITING_INPUT,
        lambda stage: set(stage.in_gitlab()["branches"]),
        {"main", BRANCH, MADE_BRANCH},
    ),
    Effect(
        "hydration commit",
        "gitlab.create_commit",
        start_on_branch,
        SagaStatus.AWAITING_INPUT,
        lambda stage: stage.effects(BRANCH),
        {"HYDRATE_CONDENSER/1": 1},
    ),
    Effect(
        "input commit",
        "gitlab.create_commit",
        run_condenser,
        SagaStatus.AWAITING_RESULT,
        lambda stage: stage.effects(BRANCH),
        {"COMMIT_CONDENSER_INPUT/1": 1},
    ),
    Effect(
        "task publish",
        "broker.publish",
        run_condenser,
        SagaStatus.AWAITING_RESULT,
        lambda stage: len({delivery.headers["id"] for delivery in stage.messages()}),
        1,
    ),
    Effect(
        "merge request",
        "gitlab.create_merge_request",
        open_merge_request,
        SagaStatus.COMPLETED,
        lambda stage: stage.in_gitlab()["merge requests"],
        [(1, "opened")],
    ),
    Effect(
        "undo commit",
        "gitlab.undo_commit",
        cancel_run,
        SagaStatus.CANCELLED,
        lambda stage: stage.effects(BRANCH),
        {"COMMIT_CONDENSER_INPUT/1": 1, "undo:COMMIT_CONDENSER_INPUT/1": 1},
    ),
    Effect(
        "branch deletion",
        "gitlab.delete_branch",
        cancel_on_issue,
        SagaStatus.CANCELLED,
        lambda stage: set(stage.in_gitlab()["branches"]),
        {"main", BRANCH},
    ),
    Effect(
        "revocation",
        "broker.revoke",
        cancel_run,
        SagaStatus.CANCELLED,
        lambda stage: stage.rows("SELECT status FROM calculation_task"),
        [("REVOKED",)],
    ),
)


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.name.replace(" ", "-"))
async def test_an_engine_woken_after_its_lease_changes_nothing(effect: Effect, side: str, stage: Stage) -> None:
    sleeper = await put_to_sleep(stage, f"{effect.point}.{side}", effect.story, effect.status)
    await wakes_to_change_nothing(stage, sleeper)
    assert "the lease was lost; somebody else goes on" in sleeper.said(), sleeper.said()
    assert effect.once(stage) == effect.shows


@pytest.mark.parametrize("transaction", ["claim", "renew", "record"])
async def test_an_engine_stopped_in_mid_transaction_keeps_no_saga_from_others(transaction: str, stage: Stage) -> None:
    """The locks of its open transaction go, although nobody can tell the process that they do."""
    point = f"database.{transaction}.before"
    sleeper = await put_to_sleep(stage, point, run_condenser, SagaStatus.AWAITING_RESULT)
    await wakes_to_change_nothing(stage, sleeper)
    assert stage.effects(BRANCH) == {"COMMIT_CONDENSER_INPUT/1": 1}


async def test_what_a_stopped_engine_had_sent_already_is_done_once_whoever_comes_first(stage: Stage) -> None:
    """GitLab does four of its requests late, when another engine has gone on: it refuses them, or they are found."""
    given, requested = "issue/8-given", "issue/9-requested"
    for branch in (given, requested):
        stage.make_branch(branch)
    stage.emulator.commit(stage.project.id, given, {"condenser_input.json": '{"load": 1}'})
    stage.emulator.commit(stage.project.id, requested, {"condenser_input.json": "{}"})
    late = [
        *(stage.delay("POST", "/repository/commits$", LATE_S) for _ in (BRANCH, given)),
        *(stage.delay("POST", what, LATE_S) for what in ("/repository/branches$", "/merge_requests$")),
    ]
    sleeper = stage.engine("sleeper")
    path = stage.project.path
    async with stage.services() as services:
        api = services.sagas
        opening = asyncio.create_task(
            api.create_merge_request(stage.engineer, project_path=path, source_branch=requested)
        )
        await start_on_issue(stage, api)
        await start_on_branch(stage, api)
        await api.run_calculation(
            stage.engineer, calculation="condenser", values=VALUES, branch=given, project_path=path
        )
        await eventually(lambda: all(map(stage.hits, late)), timeout=PATIENCE_S)
        sleeper.stop()
        successor = stage.engine("successor")
        await opening
        await eventually(stage.at_rest, timeout=PATIENCE_S)
    await eventually(lambda: all(stage.hits(fault, done=True) for fault in late), timeout=PATIENCE_S)
    assert successor.end() == 0, successor.said()
    await wakes_to_change_nothing(stage, sleeper)
    assert stage.effects(BRANCH) == {"HYDRATE_CONDENSER/1": 1}
    assert stage.effects(given) == {"COMMIT_CONDENSER_INPUT/1": 1}
    assert set(stage.in_gitlab()["branches"]) == {"main", BRANCH, MADE_BRANCH, given, requested}
    assert stage.in_gitlab()["merge requests"] == [(1, "opened")]
    # The branch that was missing gets its hydration commit as well: it stays the only other one.
    assert stage.effects(MADE_BRANCH) == {"HYDRATE_CONDENSER/1": 1}


async def put_to_sleep(stage: Stage, point: str, story: Story, status: SagaStatus) -> ServiceProcess:
    """Play the story with an engine that is stopped at the point, and have another one bring it to rest in the status."""
    sleeper = stage.engine("sleeper", stop_at=point)
    async with stage.services() as services:
        going = asyncio.ensure_future(story(stage, services.sagas))
        await eventually(sleeper.is_stopped, timeout=PATIENCE_S)
        successor = stage.engine("successor")
        await going
        await eventually(stage.at_rest, timeout=PATIENCE_S)
    assert successor.end() == 0, successor.said()
    assert [found for _, found, _, _ in stage.sagas()] == [status]
    return sleeper


async def wakes_to_change_nothing(stage: Stage, sleeper: ServiceProcess) -> None:
    """Wake the engine and let it come to the end of its step: nothing is different, nothing was even tried."""
    kept, in_gitlab, seen = stage.kept(), stage.in_gitlab(), stage.requests_so_far()
    sleeper.wake()
    assert sleeper.end() == 0
    assert stage.kept() == kept
    assert stage.in_gitlab() == in_gitlab
    assert stage.writes_since(seen) == []

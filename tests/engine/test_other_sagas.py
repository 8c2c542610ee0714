"""FR-ORCH-3, FR-ORCH-6 and the catalogue: single calculations, merge requests, a calculation more by data alone."""

import asyncio
import copy
import json
from typing import Any, cast
from uuid import UUID

import pytest

from sagas.errors import RefusalCode, RefusedError, TerminalError, UnknownOutcomeError
from sagas.ids import SagaId, effect_key, task_id
from sagas.models import EventType, SagaStatus
from sagas.ports import TaskReport, TaskState
from tests.support import eventually
from tests.world import CATALOGUE, COLLEAGUE, ENGINEER, World, new_world

BRANCH = "issue/1-test"


async def test_a_single_calculation_is_one_commit_and_one_task(world: World) -> None:
    async with world.running():
        answer = await world.service.run_calculation(
            ENGINEER, project_path="plant/unit", branch=BRANCH, calculation="condenser", values={"load": 4}
        )
        await world.work(answer.saga.id, "condenser")
        await world.is_now(answer.saga.id, SagaStatus.COMPLETED)
    log = world.forge.commit_log(world.project, BRANCH)
    own = [commit.trailers["Saga-Step"] for commit in log if "Saga-Id" in commit.trailers]
    assert own == ["COMMIT_CONDENSER_INPUT/1"]
    assert len(world.publisher.published) == 1
    message = world.publisher.last()
    assert message.body() == {
        "correlationId": str(message.id),
        "repoUrl": world.project.repo_url,
        "branch": BRANCH,
        "commitHash": log[1].sha,
        "input_files": ["condenser_input.json"],
        "output_file": "condenser_output.json",
    }


async def test_the_same_single_calculation_twice_is_one_saga_while_it_lives(world: World) -> None:
    calls = [
        world.service.run_calculation(
            ENGINEER, project_path="plant/unit", branch=BRANCH, calculation="condenser", values={"load": 4}
        )
        for _ in range(10)
    ]
    answers = await asyncio.gather(*calls)
    assert len({answer.saga.id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1


async def test_an_unknown_calculation_is_refused_with_the_known_ones(world: World) -> None:
    with pytest.raises(RefusedError) as caught:
        await world.service.run_calculation(
            ENGINEER, project_path="plant/unit", branch=BRANCH, calculation="teapot", values={}
        )
    problem = caught.value.problems[0]
    assert (problem.code, problem.field) == (RefusalCode.INVALID_INPUT, ("calculation",))
    assert "condenser" in problem.message


async def test_a_failed_single_calculation_can_be_corrected_in_its_form(world: World) -> None:
    async with world.running():
        answer = await world.service.run_calculation(
            ENGINEER, project_path="plant/unit", branch=BRANCH, calculation="condenser", values={"load": 4}
        )
        task = await world.published(answer.saga.id, "condenser")
        world.publisher.finish(task, TaskReport(TaskState.FAILED, error="too small"))
        await world.pushed(BRANCH)
        await world.is_now(answer.saga.id, SagaStatus.FAILED)
        await world.service.retry(ENGINEER, SagaId(answer.saga.id), from_step="AWAIT_USER_CONDENSER_INPUT")
        await world.give(answer.saga.id, "condenser", load=400)
        await world.work(answer.saga.id, "condenser")
        await world.is_now(answer.saga.id, SagaStatus.COMPLETED)
    assert json.loads(world.forge.read(world.project, BRANCH, "condenser_input.json") or "") == {"load": 400}


async def test_a_fourth_calculation_needs_a_catalogue_entry_and_no_code(database_url: str) -> None:
    catalogue = cast("dict[str, Any]", copy.deepcopy(CATALOGUE))
    fourth = copy.deepcopy(catalogue["calculations"][0])
    fourth |= {
        "name": "cooling_tower",
        "input_file": "cooling_tower_input.json",
        "output_file": "cooling_tower_output.json",
        "depends_on": ["condenser"],
    }
    catalogue["calculations"].insert(0, fourth)
    balance = next(entry for entry in catalogue["calculations"] if entry["name"] == "balance")
    balance["depends_on"] = [*balance["depends_on"], "cooling_tower"]
    async with new_world(database_url, catalogue) as world, world.running():
        saga = await world.start()
        chain = _chain(world)
        assert chain.index("condenser") < chain.index("cooling_tower")
        for calculation in chain:
            await world.give(saga.id, calculation)
            await world.work(saga.id, calculation)
        await world.work(saga.id, "balance")
        await world.is_now(saga.id, SagaStatus.COMPLETED)
    assert "cooling_tower_output.json" in world.publisher.last().input_files


def _chain(world: World) -> list[str]:
    steps = world.definitions.current["balance"].steps
    chain = dict.fromkeys(step.calculation for step in steps if step.calculation not in {None, "balance"})
    return [name for name in chain if name is not None]


async def test_a_merge_request_is_opened_once_however_often_it_is_asked_for(world: World) -> None:
    async with world.running():
        answers = await asyncio.gather(
            *(
                world.service.create_merge_request(ENGINEER, project_path="plant/unit", source_branch=BRANCH)
                for _ in range(10)
            )
        )
    assert len({answer.merge_request.iid for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    assert world.forge.called("create_merge_request") == 1


async def test_a_merge_request_whose_answer_was_lost_is_found_by_its_marker(world: World) -> None:
    world.forge.fail_next("create_merge_request", UnknownOutcomeError("GITLAB_UNAVAILABLE", "reset"), after=True)
    async with world.running():
        answer = await world.service.create_merge_request(
            ENGINEER, project_path="plant/unit", source_branch=BRANCH, title="New tubes"
        )
    assert answer.created
    assert answer.merge_request.title == "New tubes"
    assert world.forge.called("create_merge_request") == 1


async def test_an_open_merge_request_of_somebody_else_is_returned_not_doubled(world: World) -> None:
    theirs = await world.forge.create_merge_request(
        world.project.id, source_branch=BRANCH, target_branch="main", title="By hand", description=""
    )
    async with world.running():
        answer = await world.service.create_merge_request(
            COLLEAGUE, project_path="plant/unit", source_branch=BRANCH, idempotency_key="k"
        )
    assert (answer.merge_request.iid, answer.created) == (theirs.iid, False)
    assert world.forge.called("create_merge_request") == 1


async def test_a_refused_merge_request_is_told_and_may_be_asked_for_again(world: World) -> None:
    world.forge.fail_next("create_merge_request", TerminalError("GITLAB_REJECTED", "merge requests are disabled"))
    async with world.running():
        with pytest.raises(RefusedError) as caught:
            await world.service.create_merge_request(ENGINEER, project_path="plant/unit", source_branch=BRANCH)
        assert caught.value.problems[0].code is RefusalCode.GITLAB_REJECTED
        answer = await world.service.create_merge_request(ENGINEER, project_path="plant/unit", source_branch=BRANCH)
    assert answer.created


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"source_branch": "nope"}, RefusalCode.NOT_FOUND, ("sourceBranch",)),
        ({"target_branch": "nope"}, RefusalCode.NOT_FOUND, ("targetBranch",)),
        ({"target_branch": BRANCH}, RefusalCode.INVALID_INPUT, ("sourceBranch",)),
        ({"title": " "}, RefusalCode.INVALID_INPUT, ("title",)),
        ({"project_path": "no/where"}, RefusalCode.NOT_FOUND, ("projectPath",)),
        ({"issue_iid": 404}, RefusalCode.NOT_FOUND, ("issueIid",)),
    ],
)
async def test_a_merge_request_that_cannot_be_is_refused_by_field(
    world: World, given: dict[str, Any], code: RefusalCode, field: tuple[str, ...]
) -> None:
    with pytest.raises(RefusedError) as caught:
        await world.service.create_merge_request(
            ENGINEER, **({"project_path": "plant/unit", "source_branch": BRANCH} | given)
        )
    assert (caught.value.problems[0].code, caught.value.problems[0].field) == (code, field)
    assert world.forge.called("create_merge_request") == 0


async def test_sagas_of_an_older_definition_finish_under_their_own(world: World, database_url: str) -> None:
    saga = await world.start()
    catalogue = cast("dict[str, Any]", copy.deepcopy(CATALOGUE))
    for entry in catalogue["calculations"]:
        entry["deadline_s"] = 77
    async with new_world(database_url, catalogue) as newer:
        assert newer.definitions.current["balance"].version == world.definitions.current["balance"].version + 1
        unchanged = await newer.definitions.get("merge_request", 1)
        assert newer.definitions.current["merge_request"].version == unchanged.version
    async with world.running():
        done = await world.run_through(saga.id)
    assert done.definition_version == world.definitions.current["balance"].version
    assert EventType.COMPLETED in await world.types(saga.id)


async def test_a_result_that_came_before_the_database_was_set_back_is_taken(world: World) -> None:
    """Its task has the same id again, and its worker drops what he has done: nobody would push a second time."""
    saga = await world.start()
    async with world.running():
        await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
        task = task_id(effect_key(SagaId(saga.id), "DISPATCH_CONDENSER", 1))
        world.forge.write(world.project, BRANCH, "condenser_input.json", json.dumps({"load": 5}))
        result = world.forge.write(
            world.project, BRANCH, "condenser_output.json", "{}", trailers={"Correlation-Id": str(task)}
        )
        await world.pushed(BRANCH)
        shown = "SELECT document FROM draft WHERE saga_id = $1"
        await eventually(lambda: _shows(world, shown, saga.id))
        await world.give(saga.id, "condenser")
        await world.reaches(saga.id, "AWAIT_USER_FEEDWATER_HEATERS_INPUT", SagaStatus.AWAITING_INPUT)
    kept = await world.database.read(lambda c: c.fetchrow("SELECT status, output_commit FROM calculation_task"))
    assert tuple(kept or ()) == ("SUCCEEDED", result.sha)
    assert {message.id for message in world.publisher.published} == {task}


@pytest.mark.parametrize("load", [4, 6])
async def test_a_result_of_the_same_task_from_other_inputs_is_not_taken(world: World, load: int) -> None:
    saga = await world.start()
    async with world.running():
        await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
        task = task_id(effect_key(SagaId(saga.id), "DISPATCH_CONDENSER", 1))
        world.forge.write(world.project, BRANCH, "condenser_input.json", json.dumps({"load": load}))
        world.forge.write(world.project, BRANCH, "condenser_output.json", "{}", trailers={"Correlation-Id": str(task)})
        await world.pushed(BRANCH)
        await eventually(lambda: _shows(world, "SELECT document FROM draft WHERE saga_id = $1", saga.id, load))
        await world.give(saga.id, "condenser")
        waiting = await world.reaches(saga.id, "AWAIT_CONDENSER_RESULT", SagaStatus.AWAITING_RESULT)
        await world.work(saga.id, "condenser", {"fresh": True})
        await world.reaches(saga.id, "AWAIT_USER_FEEDWATER_HEATERS_INPUT", SagaStatus.AWAITING_INPUT)
    assert world.publisher.last().commit_hash == waiting.context["head"]


async def _shows(world: World, query: str, saga_id: UUID, load: int = 5) -> bool:
    shown = await world.database.read(lambda connection: connection.fetchval(query, saga_id))
    return bool(shown == {"load": load})

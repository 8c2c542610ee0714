"""FR-ORCH-1, FR-ORCH-2: every path of the Balance saga's chart."""

import json

import pytest

from sagas.errors import RefusalCode, RefusedError
from sagas.ids import SagaId
from sagas.models import EventType, SagaStatus
from sagas.ports import TaskReport, TaskState, User
from tests.support import eventually
from tests.world import COLLEAGUE, ENGINEER, World

BRANCH = "issue/1-test"
STEP = "AWAIT_USER_CONDENSER_INPUT"


def own_commits(world: World, branch: str = BRANCH) -> list[str]:
    """The effects whose commits are on the branch, oldest first."""
    log = world.forge.commit_log(world.project, branch)
    return [commit.trailers["Saga-Step"] for commit in reversed(log) if "Saga-Step" in commit.trailers]


async def test_the_whole_job_leaves_each_commit_task_and_event_once(world: World) -> None:
    async with world.running():
        saga = await world.start()
        done = await world.run_through(saga.id)
    assert own_commits(world) == [
        "HYDRATE_CONDENSER/1",
        "COMMIT_CONDENSER_INPUT/1",
        "HYDRATE_FEEDWATER_HEATERS/1",
        "COMMIT_FEEDWATER_HEATERS_INPUT/1",
    ]
    versions = [entry[0] for entry in await world.journal(saga.id)]
    assert versions == list(range(1, done.version + 1))
    assert len(world.publisher.published) == 3
    assert len({message.id for message in world.publisher.published}) == 3
    assert done.finished_at is not None
    assert done.due_at is None
    assert done.lease_token is None


async def test_a_missing_input_is_hydrated_by_the_catalogues_rules_in_the_engineers_name(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
    text = world.forge.read(world.project, BRANCH, "condenser_input.json")
    assert text == '{\n  "load": 3\n}\n'
    newest = world.forge.commit_log(world.project, BRANCH)[0]
    assert newest.author_name == ENGINEER.name
    assert newest.trailers == {"Saga-Id": str(saga.id), "Saga-Step": "HYDRATE_CONDENSER/1"}


async def test_an_input_that_is_there_is_the_draft_and_makes_no_commit(world: World) -> None:
    world.forge.write(world.project, BRANCH, "condenser_input.json", '{"load": 42}', author=COLLEAGUE)
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
    assert own_commits(world) == []
    document = await world.database.read(lambda c: c.fetchval("SELECT document FROM draft WHERE saga_id = $1", saga.id))
    assert document == {"load": 42}
    steps = (await world.saga(saga.id)).context["steps"]
    assert steps["HYDRATE_CONDENSER"]["status"] == "SKIPPED"


async def test_giving_exactly_what_the_file_holds_makes_no_commit(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser", load=3)
        await world.published(saga.id, "condenser")
    assert EventType.COMMIT_NOT_NEEDED in await world.types(saga.id)
    assert own_commits(world) == ["HYDRATE_CONDENSER/1"]


async def test_a_current_output_is_skipped_by_the_next_saga(world: World) -> None:
    async with world.running():
        first = await world.start()
        await world.run_through(first.id)
        second = await world.start()
        assert second.id != first.id
        await world.published(second.id, "balance")
        types = await world.types(second.id)
    assert EventType.COMMITTED not in types
    assert EventType.INPUT_RECEIVED not in types
    assert world.publisher.last().output_file == "balance_output.json"
    steps = (await world.saga(second.id)).context["steps"]
    assert {steps[f"{kind}_CONDENSER"]["status"] for kind in ("HYDRATE", "DISPATCH")} == {"SKIPPED"}


@pytest.mark.parametrize(
    ("path", "text"),
    [("condenser_input.json", '{"load": 77}'), ("condenser_output.json", '{"made": "by hand"}')],
    ids=["outdated by its input", "made by hand"],
)
async def test_an_output_that_no_worker_made_from_these_inputs_is_calculated_again(
    world: World, path: str, text: str
) -> None:
    async with world.running():
        first = await world.start()
        await world.run_through(first.id)
        world.forge.write(world.project, BRANCH, path, text, author=COLLEAGUE)
        second = await world.start()
        waiting = await world.reaches(second.id, STEP, SagaStatus.AWAITING_INPUT)
    assert waiting.state == STEP


async def test_a_dependency_calculated_anew_outdates_the_balance_but_not_its_sibling(world: World) -> None:
    async with world.running():
        first = await world.start()
        await world.run_through(first.id)
        world.forge.write(world.project, BRANCH, "condenser_input.json", '{"load": 77}', author=COLLEAGUE)
        second = await world.start()
        await world.give(second.id, "condenser", load=78)
        await world.work(second.id, "condenser", {"anew": True})
        await world.published(second.id, "balance")
        steps = (await world.saga(second.id)).context["steps"]
    assert steps["AWAIT_USER_FEEDWATER_HEATERS_INPUT"]["status"] == "SKIPPED"


async def test_an_identical_result_needs_no_commit_of_the_worker(world: World) -> None:
    output = '{\n  "of": "condenser"\n}\n'
    world.forge.write(world.project, BRANCH, "condenser_output.json", output, author=COLLEAGUE)
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        task = await world.published(saga.id, "condenser")
        world.publisher.finish(task, TaskReport(TaskState.SUCCEEDED, commit=None))
        await world.pushed(BRANCH)
        await world.reaches(saga.id, "AWAIT_USER_FEEDWATER_HEATERS_INPUT", SagaStatus.AWAITING_INPUT)
    status = await world.database.read(lambda c: c.fetchval("SELECT status FROM calculation_task WHERE id = $1", task))
    assert status == "SUCCEEDED"


async def test_an_output_changed_by_hand_while_waiting_is_told_and_not_taken(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        await world.published(saga.id, "condenser")
        world.forge.write(world.project, BRANCH, "condenser_output.json", '{"by": "hand"}', author=COLLEAGUE)
        await world.pushed(BRANCH)

        async def told() -> bool:
            return EventType.OUTPUT_NOTICED in await world.types(saga.id)

        await eventually(told)
        waiting = await world.saga(saga.id)
        assert (waiting.state, waiting.status) == ("AWAIT_CONDENSER_RESULT", SagaStatus.AWAITING_RESULT)
        await world.work(saga.id, "condenser", {"by": "worker"})
        await world.reaches(saga.id, "AWAIT_USER_FEEDWATER_HEATERS_INPUT")


async def test_a_workers_failure_fails_the_saga_and_retry_publishes_a_new_task(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        first = await world.published(saga.id, "condenser")
        world.publisher.finish(first, TaskReport(TaskState.FAILED, error="tubes.count must be positive"))
        await world.pushed(BRANCH)
        failed = await world.is_now(saga.id, SagaStatus.FAILED)
        assert failed.error is not None
        assert failed.error["code"] == "CALCULATION_FAILED"
        assert "tubes.count" in failed.error["message"]
        await world.service.retry(ENGINEER, SagaId(saga.id))
        second = await world.published(saga.id, "condenser")
        assert second != first
        await world.work(saga.id, "condenser")
        await world.reaches(saga.id, "AWAIT_USER_FEEDWATER_HEATERS_INPUT")
    assert [message.id for message in world.publisher.published] == [first, second]
    assert (await world.saga(saga.id)).context["steps"]["DISPATCH_CONDENSER"]["visit"] == 2


async def test_retry_takes_a_result_that_came_late_instead_of_publishing_anew(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        task = await world.published(saga.id, "condenser")
        await world.database.run(
            lambda c: c.execute(
                "UPDATE saga SET deadline_at = clock_timestamp(), due_at = clock_timestamp() WHERE id = $1", saga.id
            )
        )
        failed = await world.is_now(saga.id, SagaStatus.FAILED)
        assert failed.error is not None
        assert failed.error["code"] == "CALCULATION_TIMED_OUT"
        world.forge.write(
            world.project,
            BRANCH,
            "condenser_output.json",
            '{"late": true}',
            author=User(99, "worker"),
            trailers={"Correlation-Id": str(task)},
        )
        await world.service.retry(ENGINEER, SagaId(saga.id))
        await world.reaches(saga.id, "AWAIT_USER_FEEDWATER_HEATERS_INPUT", SagaStatus.AWAITING_INPUT)
    assert len(world.publisher.published) == 1


async def test_a_failed_calculation_goes_back_to_the_form_with_the_values_given(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser", load=9)
        task = await world.published(saga.id, "condenser")
        world.publisher.finish(task, TaskReport(TaskState.FAILED, error="too hot"))
        await world.pushed(BRANCH)
        await world.is_now(saga.id, SagaStatus.FAILED)
        back = (await world.service.retry(ENGINEER, SagaId(saga.id), from_step=STEP)).saga
        assert (back.state, back.status, back.visit) == (STEP, SagaStatus.AWAITING_INPUT, 2)
        document = await world.database.read(
            lambda c: c.fetchval("SELECT document FROM draft WHERE saga_id = $1 AND visit = 2", saga.id)
        )
        assert document == {"load": 9}
        await world.run_through(saga.id)
    assert own_commits(world).count("COMMIT_CONDENSER_INPUT/2") == 1


async def test_a_form_follows_its_file_while_it_waits(world: World) -> None:
    async with world.running():
        saga = await world.start()
        waiting = await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
        world.forge.write(world.project, BRANCH, "condenser_input.json", '{"load": 55}', author=COLLEAGUE)
        await world.pushed(BRANCH)

        async def changed() -> bool:
            return EventType.DRAFT_CHANGED in await world.types(saga.id)

        await eventually(changed)
        with pytest.raises(RefusedError) as refusal:
            await world.service.advance(
                ENGINEER, SagaId(saga.id), step=STEP, values={"load": 5}, expected_version=waiting.version
            )
        assert refusal.value.problems[0].code is RefusalCode.VERSION_CONFLICT
        assert (await world.saga(saga.id)).state == STEP
        newest = await world.saga(saga.id)
        await world.service.advance(
            ENGINEER, SagaId(saga.id), step=STEP, values={"load": 5}, expected_version=newest.version
        )
        await world.published(saga.id, "condenser")


async def test_a_file_changed_between_the_form_and_its_commit_is_not_overwritten(world: World) -> None:
    saga = await world.start()
    async with world.running():
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
    await world.service.advance(ENGINEER, SagaId(saga.id), step=STEP, values={"load": 5})
    world.forge.write(world.project, BRANCH, "condenser_input.json", '{"load": 66}', author=COLLEAGUE)
    async with world.running():
        failed = await world.is_now(saga.id, SagaStatus.FAILED)
        assert failed.error is not None
        assert failed.error["code"] == "INPUT_CHANGED"
        assert json.loads(world.forge.read(world.project, BRANCH, "condenser_input.json") or "") == {"load": 66}
        await world.service.retry(ENGINEER, SagaId(saga.id), from_step=STEP)
        await world.run_through(saga.id)


async def test_an_issues_branch_is_made_where_it_is_missing(world: World) -> None:
    world.forge.add_issue(world.project, "Another issue, which has a branch")
    issue = world.forge.add_issue(world.project, "Новый конденсатор № 2")
    async with world.running():
        answer = await world.service.start_balance(ENGINEER, project_path=world.project.path, issue_iid=issue.iid)
        waiting = await world.reaches(answer.saga.id, STEP, SagaStatus.AWAITING_INPUT)
    assert waiting.branch == f"issue/{issue.iid}-novyi-kondensator-2"
    assert waiting.branch in world.forge.branch_names(world.project)
    assert (await world.types(answer.saga.id))[:2] == [EventType.STARTED, EventType.BRANCH_CREATED]


async def test_a_deleted_branch_fails_the_saga_with_its_own_code(world: World) -> None:
    saga = await world.start()
    world.forge.remove_branch(world.project, BRANCH)
    async with world.running():
        failed = await world.is_now(saga.id, SagaStatus.FAILED)
    assert failed.error is not None
    assert failed.error["code"] == "BRANCH_DELETED"


async def test_a_broken_input_file_fails_the_check_and_says_where(world: World) -> None:
    world.forge.write(world.project, BRANCH, "condenser_input.json", '{"load": }', author=COLLEAGUE)
    async with world.running():
        saga = await world.start()
        failed = await world.is_now(saga.id, SagaStatus.FAILED)
        assert failed.error is not None
        assert failed.error["code"] == "INVALID_DOCUMENT"
        assert "line 1, column 10" in failed.error["message"]
        world.forge.write(world.project, BRANCH, "condenser_input.json", '{"load": 8}', author=COLLEAGUE)
        await world.service.retry(ENGINEER, SagaId(saga.id))
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)


@pytest.mark.parametrize("text", ['{"load": "\\u0000"}', '{"load": "\\ud800"}', '{"load": 1e999}', '{"load": NaN}'])
async def test_a_file_that_no_database_could_keep_fails_the_saga_instead_of_trying_for_ever(
    world: World, text: str
) -> None:
    world.forge.write(world.project, BRANCH, "condenser_input.json", text, author=COLLEAGUE)
    async with world.running():
        saga = await world.start()
        failed = await world.is_now(saga.id, SagaStatus.FAILED)
    assert failed.error is not None
    assert failed.error["code"] == "INVALID_DOCUMENT"
    assert EventType.ATTEMPT_FAILED not in await world.types(saga.id)

"""NF-ORCH-3: work of others on the branch is told by its own code, never overwritten, never deleted."""

import json

import pytest

from sagas.errors import RetryableError, TerminalError, UnknownOutcomeError
from sagas.ids import SagaId
from sagas.models import EventType, SagaStatus
from sagas.ports import TaskReport, TaskState
from tests.support import eventually
from tests.world import COLLEAGUE, ENGINEER, World

BRANCH = "issue/1-test"
FORM = "AWAIT_USER_CONDENSER_INPUT"
NEXT_FORM = "AWAIT_USER_FEEDWATER_HEATERS_INPUT"


async def failed_with(world: World, saga_id: SagaId) -> str:
    failed = await world.is_now(saga_id, SagaStatus.FAILED)
    assert failed.error is not None
    return str(failed.error["code"])


async def test_a_branch_with_a_colleagues_commit_below_the_sagas_own_is_not_removed(world: World) -> None:
    """The head is the saga's own commit and every commit was seen by it: still the colleague's work stays."""
    world.forge.add_issue(world.project, "another")
    issue = world.forge.add_issue(world.project, "mine")
    async with world.running():
        saga = (await world.service.start_balance(ENGINEER, project_path="plant/unit", issue_iid=issue.iid)).saga
        await world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
        world.forge.write(world.project, saga.branch, "notes.md", "mine!", author=COLLEAGUE)
        await world.give(saga.id, "condenser")
        await world.work(saga.id, "condenser")
        await world.reaches(saga.id, NEXT_FORM, SagaStatus.AWAITING_INPUT)
        await world.service.cancel(ENGINEER, SagaId(saga.id))
        await world.is_now(saga.id, SagaStatus.CANCELLED)
    assert world.forge.read(world.project, saga.branch, "notes.md") == "mine!"


async def test_a_branch_with_nothing_but_the_sagas_work_and_its_results_is_removed(world: World) -> None:
    world.forge.add_issue(world.project, "another")
    issue = world.forge.add_issue(world.project, "mine")
    async with world.running():
        saga = (await world.service.start_balance(ENGINEER, project_path="plant/unit", issue_iid=issue.iid)).saga
        await world.give(saga.id, "condenser")
        await world.work(saga.id, "condenser")
        await world.reaches(saga.id, NEXT_FORM, SagaStatus.AWAITING_INPUT)
        await world.service.cancel(ENGINEER, SagaId(saga.id))
        await world.is_now(saga.id, SagaStatus.CANCELLED)
    assert saga.branch not in world.forge.branch_names(world.project)


@pytest.mark.parametrize(
    ("path", "code"), [("condenser_output.json", "OUTPUT_CHANGED"), ("condenser_input.json", "INPUT_CHANGED")]
)
async def test_what_the_balance_builds_upon_is_not_taken_from_somebody_elses_hand(
    world: World, path: str, code: str
) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        await world.work(saga.id, "condenser")
        await world.give(saga.id, "feedwater_heaters")
        await world.published(saga.id, "feedwater_heaters")
        world.forge.write(world.project, BRANCH, path, '{"load": 123}', author=COLLEAGUE)
        await world.work(saga.id, "feedwater_heaters")
        assert await failed_with(world, SagaId(saga.id)) == code
        assert len(world.publisher.published) == 2
        await world.service.retry(ENGINEER, SagaId(saga.id), from_step="CHECK_CONDENSER")
        await world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)


async def test_an_output_replaced_between_its_finding_and_its_reading_is_not_taken(world: World) -> None:
    """An identical result has no commit to hold the file against: what stood when it was found is."""
    output = '{\n  "of": "condenser"\n}\n'
    world.forge.write(world.project, BRANCH, "condenser_output.json", output, author=COLLEAGUE)
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        task = await world.published(saga.id, "condenser")
    world.publisher.finish(task, TaskReport(TaskState.SUCCEEDED, commit=None))
    await world.pushed(BRANCH)

    def replace() -> None:
        world.forge.write(world.project, BRANCH, "condenser_output.json", '{"by": "hand"}', author=COLLEAGUE)

    world.forge.on_next("blob_ids", lambda: None)  # of the reconciliation, before the result is looked for
    world.forge.on_next("blob_ids", replace, after=True)
    async with world.running():
        assert await failed_with(world, SagaId(saga.id)) == "OUTPUT_CHANGED"


async def test_an_output_replaced_before_its_finding_is_not_taken_for_a_workers_identical_one(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        task = await world.published(saga.id, "condenser")
        world.forge.write(world.project, BRANCH, "condenser_output.json", '{"by": "hand"}', author=COLLEAGUE)
        world.publisher.finish(task, TaskReport(TaskState.SUCCEEDED, commit=None))
        await world.pushed(BRANCH)

        async def told() -> bool:
            return EventType.OUTPUT_NOTICED in await world.types(saga.id)

        await eventually(told)
        assert (await world.saga(saga.id)).state == "AWAIT_CONDENSER_RESULT"


async def test_a_rewritten_branch_has_its_own_code_and_its_commits_stay_as_they_are(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
    base = world.forge.commit_log(world.project, BRANCH)[-1].sha
    world.forge.force_push(world.project, BRANCH, base)
    world.forge.write(world.project, BRANCH, "condenser_input.json", '{"load": 66}', author=COLLEAGUE)
    await world.service.advance(ENGINEER, SagaId(saga.id), step=FORM, values={"load": 5})
    async with world.running():
        assert await failed_with(world, SagaId(saga.id)) == "BRANCH_REWRITTEN"
        assert json.loads(world.forge.read(world.project, BRANCH, "condenser_input.json") or "") == {"load": 66}
        await world.service.retry(ENGINEER, SagaId(saga.id), from_step=FORM)
        await world.run_through(saga.id)


async def test_a_task_is_not_published_for_a_commit_that_the_branch_has_lost(world: World) -> None:
    world.publisher.fail_next("publish", RetryableError("BROKER_UNAVAILABLE", "away"))
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")

        async def tried() -> bool:
            return EventType.ATTEMPT_FAILED in await world.types(saga.id)

        await eventually(tried)
        base = world.forge.commit_log(world.project, BRANCH)[-1].sha
        world.forge.force_push(world.project, BRANCH, base)
        assert await failed_with(world, SagaId(saga.id)) == "BRANCH_REWRITTEN"
    assert world.publisher.published == []


async def test_a_hydration_that_was_lost_is_known_again_though_its_sources_changed_since(world: World) -> None:
    def change() -> None:
        world.forge.write(world.project, BRANCH, "balance_input.json", '{"condenser": {"load": 8}}', author=COLLEAGUE)
        raise UnknownOutcomeError("GITLAB_UNAVAILABLE", "reset")

    world.forge.on_next("create_commit", change, after=True)
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
        assert (await world.types(saga.id))[-1] is EventType.COMMITTED
        await world.service.cancel(ENGINEER, SagaId(saga.id))
        await world.is_now(saga.id, SagaStatus.CANCELLED)
    assert world.forge.read(world.project, BRANCH, "condenser_input.json") is None


@pytest.mark.parametrize(
    "text",
    ['{"load": 1, "note": "\\u0000"}', '{"load": 1, "note": "\\ud800"}', '{"load": 1e999}'],
    ids=["NUL", "half a surrogate pair", "beyond a double"],
)
async def test_a_document_that_cannot_be_stored_fails_its_step_and_says_so(world: World, text: str) -> None:
    world.forge.write(world.project, BRANCH, "condenser_input.json", text, author=COLLEAGUE)
    async with world.running():
        saga = await world.start()
        assert await failed_with(world, SagaId(saga.id)) == "INVALID_DOCUMENT"


async def test_a_backslash_before_u0000_is_text_like_any_other(world: World) -> None:
    world.forge.write(world.project, BRANCH, "condenser_input.json", '{"load": 1, "n": "\\\\u0000"}', author=COLLEAGUE)
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)


async def test_a_workers_complaint_is_shown_whatever_characters_it_has(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        task = await world.published(saga.id, "condenser")
        world.publisher.finish(task, TaskReport(TaskState.FAILED, error="bad \0 byte \ud800"))
        await world.pushed(BRANCH)
        assert await failed_with(world, SagaId(saga.id)) == "CALCULATION_FAILED"


async def test_one_undo_that_is_refused_keeps_no_other_from_being_done(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        await world.published(saga.id, "condenser")
        world.forge.fail_next("find_own_commit", TerminalError("GITLAB_REJECTED", "no"))
        await world.service.cancel(ENGINEER, SagaId(saga.id))
        await world.is_now(saga.id, SagaStatus.CANCELLED)
        types = await world.types(saga.id)
    assert types.count(EventType.UNDO_REFUSED) == 2, "the second: its file is not as the first commit left it"
    assert types[-1] is EventType.CANCELLED


async def test_bytes_that_are_no_text_are_not_restored_but_told(world: World) -> None:
    world.forge.write(world.project, BRANCH, "condenser_input.json", "{}", author=COLLEAGUE)
    repository = world.forge._repository(world.project)
    tree = {**repository.tree(repository.branches[BRANCH]), "condenser_input.json": b"\xff\xfe"}
    repository.commit(BRANCH, tree, "Broken", author=COLLEAGUE, committer=COLLEAGUE)
    async with world.running():
        saga = (
            await world.service.run_calculation(
                ENGINEER, project_path="plant/unit", branch=BRANCH, calculation="condenser", values={"load": 4}
            )
        ).saga
        await world.published(saga.id, "condenser")
        await world.service.cancel(ENGINEER, SagaId(saga.id))
        await world.is_now(saga.id, SagaStatus.CANCELLED, timeout=5)
    assert EventType.UNDO_REFUSED in await world.types(saga.id)


async def test_a_broker_that_is_away_keeps_no_saga_from_being_cancelled(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        task = await world.published(saga.id, "condenser")
        world.publisher.fail_next("revoke", RetryableError("BROKER_UNAVAILABLE", "away"), times=5)
        await world.service.cancel(ENGINEER, SagaId(saga.id))
        await world.is_now(saga.id, SagaStatus.CANCELLED, timeout=5)
    status = await world.database.read(lambda c: c.fetchval("SELECT status FROM calculation_task WHERE id = $1", task))
    assert status == "REVOKED"


async def test_a_task_that_a_newer_one_replaces_is_revoked(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        first = await world.published(saga.id, "condenser")
        world.forge.write(world.project, BRANCH, "condenser_input.json", '{"load": 77}', author=COLLEAGUE)
        await world.work(saga.id, "condenser")
        assert await failed_with(world, SagaId(saga.id)) == "INPUT_CHANGED"
        await world.service.retry(ENGINEER, SagaId(saga.id), from_step=FORM)
        await world.give(saga.id, "condenser", load=6)
        await world.published(saga.id, "condenser")
    assert world.publisher.revoked == [first]

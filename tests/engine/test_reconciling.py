"""NF-ORCH-3: the periodic look and each step hold what the saga builds upon against GitLab; tests/contract has the codes."""

import pytest

from sagas.errors import RefusalCode, RefusedError, RetryableError
from sagas.ids import SagaId
from sagas.models import EventType, Saga, SagaStatus
from tests.properties.stepping import Stepper
from tests.support import eventually
from tests.world import COLLEAGUE, ENGINEER, World

BRANCH = "issue/1-test"
FORM = "AWAIT_USER_CONDENSER_INPUT"
NEXT_FORM = "AWAIT_USER_FEEDWATER_HEATERS_INPUT"


async def at_the_second_form(world: World) -> Saga:
    saga = await world.start()
    await world.give(saga.id, "condenser")
    await world.work(saga.id, "condenser")
    return await world.reaches(saga.id, NEXT_FORM, SagaStatus.AWAITING_INPUT)


async def failed_with(world: World, saga: Saga) -> tuple[str, str]:
    failed = await world.is_now(saga.id, SagaStatus.FAILED)
    assert failed.error is not None
    return failed.state, failed.error["code"]


async def looked(world: World, saga: Saga) -> None:
    """Have the watcher look once more, and wait until it has."""
    before = world.forge.called("merge_requests")
    await world.pushed(saga.branch)
    await eventually(lambda: world.forge.called("merge_requests") > before)


def rewrite(world: World) -> str:
    """The same files by other commits, as a rebase leaves them; returns the new head."""
    repository = world.forge._repository(world.project)
    head = repository.branches[BRANCH]
    tree = dict(repository.tree(head))
    repository.branches[BRANCH] = world.forge.commit_log(world.project, BRANCH)[-1].sha
    return repository.commit(BRANCH, tree, "Squashed", author=COLLEAGUE, committer=COLLEAGUE).sha


async def test_a_rewritten_history_in_which_nothing_is_missing_is_taken_as_it_is(world: World) -> None:
    async with world.running():
        saga = await at_the_second_form(world)
        rewrite(world)
        await looked(world, saga)
        await world.give(saga.id, "feedwater_heaters")
        await world.published(saga.id, "feedwater_heaters")
        rewrite(world)
        await looked(world, saga)
        for calculation in ("feedwater_heaters", "balance"):
            await world.work(saga.id, calculation)
        await world.reaches(saga.id, "COMPLETED", SagaStatus.COMPLETED)
    assert EventType.FAILED not in await world.types(saga.id)


async def test_a_step_that_would_commit_finds_first_what_others_have_changed(world: World) -> None:
    """No look has come between: the step's own comparison holds the commit back."""
    async with world.running():
        saga = await at_the_second_form(world)
    await world.service.advance(ENGINEER, SagaId(saga.id), step=NEXT_FORM, values={"load": 5})
    world.forge.write(world.project, BRANCH, "condenser_output.json", None, author=COLLEAGUE)
    head = world.forge.head_of(world.project, BRANCH)
    async with world.running():
        assert await failed_with(world, saga) == ("COMMIT_FEEDWATER_HEATERS_INPUT", "OUTPUT_DELETED")
    assert world.forge.head_of(world.project, BRANCH) == head, "nothing was committed"
    assert len(world.publisher.published) == 1


async def test_a_hydration_tells_which_earlier_file_was_changed_and_commits_nothing(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        await world.published(saga.id, "condenser")
    await world.work(saga.id, "condenser")
    stepper = Stepper(world)
    await stepper.look()
    while (await world.saga(saga.id)).state != "HYDRATE_FEEDWATER_HEATERS":
        if not stepper.workers:
            await stepper.claim()
        (worker,) = stepper.workers
        await stepper.act(worker)
        await stepper.record(worker)
    world.forge.write(world.project, BRANCH, "condenser_input.json", '{"load": 66}', author=COLLEAGUE)
    head = world.forge.head_of(world.project, BRANCH)
    (worker,) = stepper.workers
    await stepper.act(worker)
    await stepper.record(worker)
    failed = await world.saga(saga.id)
    assert failed.error is not None
    assert (failed.state, failed.error["code"]) == ("HYDRATE_FEEDWATER_HEATERS", "INPUT_CHANGED")
    assert "condenser_input.json" in failed.error["message"]
    assert world.forge.head_of(world.project, BRANCH) == head


async def test_an_input_changed_while_a_worker_calculates_is_told_at_once_and_its_result_waited_for_when_mended(
    world: World,
) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        task = await world.published(saga.id, "condenser")
        given = world.forge.read(world.project, BRANCH, "condenser_input.json")
        world.forge.write(world.project, BRANCH, "condenser_input.json", '{"load": 66}', author=COLLEAGUE)
        await world.pushed(BRANCH)
        assert await failed_with(world, saga) == ("AWAIT_CONDENSER_RESULT", "INPUT_CHANGED")
        await world.service.retry(ENGINEER, SagaId(saga.id))
        assert await failed_with(world, saga) == ("AWAIT_CONDENSER_RESULT", "INPUT_CHANGED"), "it is as it was"
        world.forge.write(world.project, BRANCH, "condenser_input.json", given, author=COLLEAGUE)
        await world.service.retry(ENGINEER, SagaId(saga.id))
        waits = await world.is_now(saga.id, SagaStatus.AWAITING_RESULT)
        assert waits.deadline_at is not None
        assert await world.work(saga.id, "condenser") == task
        await world.reaches(saga.id, NEXT_FORM, SagaStatus.AWAITING_INPUT)
    assert [message.id for message in world.publisher.published] == [task]


async def test_a_form_whose_own_file_changes_or_goes_is_not_stopped_by_that(world: World) -> None:
    async with world.running():
        saga = await at_the_second_form(world)
        for text in ('{"load": 8}', None):
            world.forge.write(world.project, BRANCH, "feedwater_heaters_input.json", text, author=COLLEAGUE)
            await looked(world, saga)
        assert (await world.saga(saga.id)).status is SagaStatus.AWAITING_INPUT


async def test_while_nothing_moves_a_look_asks_for_the_branch_and_its_merge_requests_alone(world: World) -> None:
    async with world.running():
        saga = await at_the_second_form(world)
        await looked(world, saga)
        await looked(world, saga)
        before = {name: world.forge.called(name) for name in ("get_file_content", "blob_ids", "is_ancestor")}
        await looked(world, saga)
        await looked(world, saga)
        assert {name: world.forge.called(name) for name in before} == before


async def test_a_draft_that_could_not_be_read_is_read_by_the_next_look(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
        await looked(world, saga)
        world.forge.fail_next("get_file_content", RetryableError("GITLAB_UNAVAILABLE", "503"))
        world.forge.write(world.project, BRANCH, "condenser_input.json", '{"load": 55}', author=COLLEAGUE)

        async def changed() -> bool:
            await world.pushed(BRANCH)
            return EventType.DRAFT_CHANGED in await world.types(saga.id)

        await eventually(changed)


async def test_an_answer_that_was_given_before_a_look_ends_is_not_undone_by_it(world: World) -> None:
    """The look saw the branch gone; before it could say so the user advanced: the saga's own step decides."""
    async with world.running():
        saga = await at_the_second_form(world)
        head = world.forge.head_of(world.project, BRANCH)
        gone = 0

        async def advance() -> None:
            nonlocal gone
            gone += 1
            if gone == 2:
                world.forge.add_branch(world.project, BRANCH, ref=head)
                await world.service.advance(ENGINEER, SagaId(saga.id), step=NEXT_FORM, values={"load": 5})
            else:
                world.forge.on_next("branch", advance, after=True)

        world.forge.remove_branch(world.project, BRANCH)
        world.forge.on_next("branch", advance, after=True)
        await world.pushed(BRANCH)
        await world.published(saga.id, "feedwater_heaters")
    assert EventType.FAILED not in await world.types(saga.id)


async def test_a_stopped_form_takes_no_answer_and_can_be_paused_cancelled_or_left_for_an_earlier_one(
    world: World,
) -> None:
    async with world.running():
        saga = await at_the_second_form(world)
        world.forge.write(world.project, BRANCH, "condenser_input.json", '{"load": 9}', author=COLLEAGUE)
        await world.pushed(BRANCH)
        assert await failed_with(world, saga) == (NEXT_FORM, "INPUT_CHANGED")
        with pytest.raises(RefusedError) as refusal:
            await world.service.advance(ENGINEER, SagaId(saga.id), step=NEXT_FORM, values={"load": 5})
        assert refusal.value.problems[0].code is RefusalCode.WRONG_STATE
        await world.service.retry(ENGINEER, SagaId(saga.id), from_step="CHECK_CONDENSER")
        await world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
        await world.run_through(saga.id)
    kept = [c for c in world.forge.commit_log(world.project, BRANCH) if c.author_name == COLLEAGUE.name]
    assert len(kept) == 1


async def test_a_pause_that_comes_while_a_form_is_reopened_is_obeyed(world: World) -> None:
    async with world.running():
        saga = await at_the_second_form(world)
        output = world.forge.read(world.project, BRANCH, "condenser_output.json")
        world.forge.write(world.project, BRANCH, "condenser_output.json", None, author=COLLEAGUE)
        await world.pushed(BRANCH)
        assert await failed_with(world, saga) == (NEXT_FORM, "OUTPUT_DELETED")
    world.forge.write(world.project, BRANCH, "condenser_output.json", output, author=COLLEAGUE)
    await world.service.retry(ENGINEER, SagaId(saga.id))
    await world.service.pause(ENGINEER, SagaId(saga.id))
    await world.service.resume(ENGINEER, SagaId(saga.id))
    async with world.running():
        await world.reaches(saga.id, NEXT_FORM, SagaStatus.AWAITING_INPUT)


async def test_a_merge_request_that_was_over_before_the_saga_saw_it_stops_nothing(world: World) -> None:
    opened = await world.forge.create_merge_request(
        world.project.id, source_branch=BRANCH, target_branch="main", title="t", description=""
    )
    world.forge.set_merge_request_state(world.project, opened.iid, "merged")
    async with world.running():
        saga = await at_the_second_form(world)
        await looked(world, saga)
        await world.give(saga.id, "feedwater_heaters")
        for calculation in ("feedwater_heaters", "balance"):
            await world.work(saga.id, calculation)
        await world.reaches(saga.id, "COMPLETED", SagaStatus.COMPLETED)
    assert EventType.FAILED not in await world.types(saga.id)


@pytest.mark.parametrize("state", ["merged", "closed"])
async def test_a_step_finds_a_merge_request_that_was_ended_by_hand_and_a_retry_goes_on_all_the_same(
    world: World, state: str
) -> None:
    """No look has come between: the step's own comparison holds the commit back, once."""
    opened = await world.forge.create_merge_request(
        world.project.id, source_branch=BRANCH, target_branch="main", title="t", description=""
    )
    async with world.running():
        saga = await at_the_second_form(world)

        async def seen() -> bool:
            await world.pushed(BRANCH)
            return opened.iid in (await world.saga(saga.id)).context.get("mergeRequests", [])

        await eventually(seen)
    await world.service.advance(ENGINEER, SagaId(saga.id), step=NEXT_FORM, values={"load": 5})
    world.forge.set_merge_request_state(world.project, opened.iid, state)
    head = world.forge.head_of(world.project, BRANCH)
    async with world.running():
        assert await failed_with(world, saga) == ("COMMIT_FEEDWATER_HEATERS_INPUT", f"MERGE_REQUEST_{state.upper()}")
        assert world.forge.head_of(world.project, BRANCH) == head, "nothing was committed"
        assert len(world.publisher.published) == 1
        await world.service.retry(ENGINEER, SagaId(saga.id))
        for calculation in ("feedwater_heaters", "balance"):
            await world.work(saga.id, calculation)
        await world.reaches(saga.id, "COMPLETED", SagaStatus.COMPLETED)
    assert (await world.types(saga.id)).count(EventType.FAILED) <= 1

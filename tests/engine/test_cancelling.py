"""cancelSaga: what the saga did is undone in reverse where nobody has built upon it, and told where somebody has."""

import asyncio
import json

from sagas.errors import TerminalError, UnknownOutcomeError
from sagas.ids import SagaId
from sagas.models import EventType, SagaStatus
from tests.world import COLLEAGUE, ENGINEER, World

BRANCH = "issue/1-test"
STEP = "AWAIT_USER_CONDENSER_INPUT"


async def cancelled(world: World, saga_id: SagaId, *, compensate: bool = True) -> list[EventType]:
    await world.service.cancel(ENGINEER, saga_id, compensate=compensate, reason="wrong plant")
    await world.is_now(saga_id, SagaStatus.CANCELLED)
    return await world.types(saga_id)


async def test_commits_are_undone_in_reverse_and_the_task_is_revoked(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        task = await world.published(saga.id, "condenser")
        types = await cancelled(world, SagaId(saga.id))
    assert types.count(EventType.UNDONE) == 2
    assert types[-1] is EventType.CANCELLED
    assert world.forge.read(world.project, BRANCH, "condenser_input.json") is None
    undo = [c.trailers["Saga-Step"] for c in world.forge.commit_log(world.project, BRANCH)[:2]]
    assert undo == ["undo:HYDRATE_CONDENSER/1", "undo:COMMIT_CONDENSER_INPUT/1"]
    assert world.publisher.revoked == [task]
    end = await world.saga(saga.id)
    assert end.state == "AWAIT_CONDENSER_RESULT"
    assert end.due_at is None


async def test_a_late_result_of_a_cancelled_saga_is_ignored(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        task = await world.published(saga.id, "condenser")
        before = await cancelled(world, SagaId(saga.id))
        world.forge.write(world.project, BRANCH, "condenser_output.json", "{}", trailers={"Correlation-Id": str(task)})
        await world.pushed(BRANCH)
    assert await world.types(saga.id) == before


async def test_what_somebody_else_has_changed_is_not_touched_and_told(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
        world.forge.write(world.project, BRANCH, "condenser_input.json", '{"load": 99}', author=COLLEAGUE)
        types = await cancelled(world, SagaId(saga.id))
    assert EventType.UNDO_REFUSED in types
    assert EventType.UNDONE not in types
    assert json.loads(world.forge.read(world.project, BRANCH, "condenser_input.json") or "") == {"load": 99}


async def test_without_compensation_nothing_is_undone(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
        head = world.forge.head_of(world.project, BRANCH)
        types = await cancelled(world, SagaId(saga.id), compensate=False)
    assert EventType.UNDONE not in types
    assert world.forge.head_of(world.project, BRANCH) == head


async def test_a_branch_that_the_saga_made_goes_last_and_only_if_it_is_still_its_own(world: World) -> None:
    world.forge.add_issue(world.project, "has a branch")
    mine = world.forge.add_issue(world.project, "mine")
    theirs = world.forge.add_issue(world.project, "theirs")
    async with world.running():
        own = (await world.service.start_balance(ENGINEER, project_path="plant/unit", issue_iid=mine.iid)).saga
        shared = (await world.service.start_balance(ENGINEER, project_path="plant/unit", issue_iid=theirs.iid)).saga
        for saga in (own, shared):
            await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
        world.forge.write(world.project, shared.branch, "notes.md", "mine!", author=COLLEAGUE)
        assert (await cancelled(world, SagaId(own.id)))[-2] is EventType.UNDONE
        assert (await cancelled(world, SagaId(shared.id)))[-2] is EventType.UNDO_REFUSED
    assert own.branch not in world.forge.branch_names(world.project)
    assert shared.branch in world.forge.branch_names(world.project)
    assert world.forge.read(world.project, shared.branch, "notes.md") == "mine!"


async def test_a_cancel_during_a_write_settles_it_first_and_undoes_it_then(world: World) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        entered.set()
        await go_on.wait()

    world.forge.on_next("create_commit", slow, after=True)
    async with world.running():
        saga = await world.start()
        await asyncio.wait_for(entered.wait(), 5)
        answer = await world.service.cancel(ENGINEER, SagaId(saga.id))
        assert answer.saga.status is SagaStatus.CANCELLING
        go_on.set()
        await world.is_now(saga.id, SagaStatus.CANCELLED)
    types = await world.types(saga.id)
    assert types[-3:] == [EventType.COMMITTED, EventType.UNDONE, EventType.CANCELLED]
    assert world.forge.read(world.project, BRANCH, "condenser_input.json") is None


async def test_a_commit_whose_answer_was_lost_before_the_cancel_is_found_and_undone(world: World) -> None:
    world.forge.fail_next("create_commit", UnknownOutcomeError("GITLAB_UNAVAILABLE", "reset"), after=True)
    saga = await world.start()
    world.forge.on_next("create_commit", lambda: None)

    async with world.running() as engine:
        while world.forge.read(world.project, BRANCH, "condenser_input.json") is None:
            await asyncio.sleep(0)
        engine.stop()
    if (await world.saga(saga.id)).state == "HYDRATE_CONDENSER":
        await world.service.cancel(ENGINEER, SagaId(saga.id))
    else:
        raise AssertionError("the lost answer was not the hydration's")
    async with world.running():
        await world.is_now(saga.id, SagaStatus.CANCELLED)
    assert world.forge.read(world.project, BRANCH, "condenser_input.json") is None


async def test_an_undo_whose_answer_was_lost_is_not_done_twice(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
        world.forge.fail_next("create_commit", UnknownOutcomeError("GITLAB_UNAVAILABLE", "reset"), after=True)
        await cancelled(world, SagaId(saga.id))
    log = world.forge.commit_log(world.project, BRANCH)
    undo = [c for c in log if c.trailers.get("Saga-Step", "").startswith("undo:")]
    assert len(undo) == 1


async def test_what_gitlab_never_allows_does_not_keep_a_saga_from_ending(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
        world.forge.fail_next("create_commit", TerminalError("GITLAB_REJECTED", "protected"))
        types = await cancelled(world, SagaId(saga.id))
    assert EventType.UNDO_REFUSED in types


async def test_cancelling_twice_is_cancelling_once(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
        answers = await asyncio.gather(*(world.service.cancel(ENGINEER, SagaId(saga.id)) for _ in range(8)))
        await world.is_now(saga.id, SagaStatus.CANCELLED)
    assert sum(answer.created for answer in answers) == 1
    assert (await world.types(saga.id)).count(EventType.CANCEL_REQUESTED) == 1

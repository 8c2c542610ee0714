"""cancelSaga: what the saga did is undone in reverse where nobody has built upon it, and told where somebody has."""

import asyncio
import json
from typing import Any

import pytest

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
    after = types[types.index(EventType.CANCEL_REQUESTED) :]
    assert after == [
        EventType.CANCEL_REQUESTED,
        EventType.TASK_REVOKED,
        EventType.UNDONE,
        EventType.UNDONE,
        EventType.CANCELLED,
    ]
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


async def data_of(world: World, saga_id: SagaId, type_: EventType) -> list[dict[str, Any]]:
    statement = "SELECT data FROM saga_event WHERE saga_id = $1 AND type = $2 ORDER BY version"
    records = await world.database.read(lambda connection: connection.fetch(statement, saga_id, type_))
    return [record["data"] for record in records]


@pytest.mark.parametrize("compensate", [True, False])
async def test_each_outstanding_task_is_revoked_and_told_whether_anything_else_is_undone(
    world: World, compensate: bool
) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        task = await world.published(saga.id, "condenser")
        await cancelled(world, SagaId(saga.id), compensate=compensate)
    told = await data_of(world, SagaId(saga.id), EventType.TASK_REVOKED)
    assert told == [{"step": "DISPATCH_CONDENSER/1", "task": str(task)}]
    assert world.publisher.revoked == [task]


async def test_a_workers_results_stay_and_are_named_at_the_end(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        await world.work(saga.id, "condenser")
        await world.reaches(saga.id, "AWAIT_USER_FEEDWATER_HEATERS_INPUT", SagaStatus.AWAITING_INPUT)
        output = world.forge.read(world.project, BRANCH, "condenser_output.json")
        await cancelled(world, SagaId(saga.id))
    (end,) = await data_of(world, SagaId(saga.id), EventType.CANCELLED)
    (result,) = [c for c in world.forge.commit_log(world.project, BRANCH) if "Correlation-Id" in c.trailers]
    assert end == {"reason": "wrong plant", "kept": [{"file": "condenser_output.json", "commit": result.sha}]}
    assert world.forge.read(world.project, BRANCH, "condenser_output.json") == output


async def test_a_branch_whose_merge_request_is_open_is_not_removed(world: World) -> None:
    world.forge.add_issue(world.project, "has a branch")
    issue = world.forge.add_issue(world.project, "mine")
    async with world.running():
        saga = (await world.service.start_balance(ENGINEER, project_path="plant/unit", issue_iid=issue.iid)).saga
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
        opened = await world.forge.create_merge_request(
            world.project.id, source_branch=saga.branch, target_branch="main", title="t", description=""
        )
        await cancelled(world, SagaId(saga.id))
    (refusal,) = await data_of(world, SagaId(saga.id), EventType.UNDO_REFUSED)
    assert opened.web_url in refusal["reason"]
    assert saga.branch in world.forge.branch_names(world.project)

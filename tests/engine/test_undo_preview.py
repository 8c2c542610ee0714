"""What is shown before a cancellation is what the cancellation then does."""

import pytest

from sagas.ids import SagaId
from sagas.models import Saga, SagaStatus
from sagas.store import tasks
from sagas.undoing import UndoItem, UndoKind, preview
from tests.world import ENGINEER, World

FIRST_FORM, SECOND_FORM = "AWAIT_USER_CONDENSER_INPUT", "AWAIT_USER_FEEDWATER_HEATERS_INPUT"


async def shown(world: World, saga: Saga) -> tuple[UndoItem, ...]:
    known = await world.database.read(lambda connection: tasks.of_saga(connection, saga.id))
    return preview(await world.saga(saga.id), known)


async def done(world: World, saga: Saga) -> list[str | None]:
    """The steps whose effects the journal says were taken back, in order; the branch's has none in its entry."""
    statement = """
        SELECT data ->> 'step' FROM saga_event
        WHERE saga_id = $1 AND type IN ('UNDONE', 'TASK_REVOKED') ORDER BY version
    """
    records = await world.database.read(lambda connection: connection.fetch(statement, saga.id))
    return [None if record[0] is None else record[0].partition("/")[0] for record in records]


@pytest.mark.parametrize("made_branch", [False, True], ids=["on a branch that was there", "on a branch of its own"])
@pytest.mark.parametrize("moment", ["at the first form", "while a worker calculates", "at the second form"])
async def test_the_preview_lists_what_the_cancellation_then_undoes_in_its_order(
    world: World, made_branch: bool, moment: str
) -> None:
    world.forge.add_issue(world.project, "has a branch")
    issue = world.forge.add_issue(world.project, "has none")
    place = {"issue_iid": issue.iid} if made_branch else {"branch": "issue/1-test"}
    async with world.running():
        saga = (await world.service.start_balance(ENGINEER, project_path="plant/unit", **place)).saga
        await world.reaches(saga.id, FIRST_FORM, SagaStatus.AWAITING_INPUT)
        if moment != "at the first form":
            await world.give(saga.id, "condenser")
            await world.published(saga.id, "condenser")
        if moment == "at the second form":
            await world.work(saga.id, "condenser")
            await world.reaches(saga.id, SECOND_FORM, SagaStatus.AWAITING_INPUT)
        items = await shown(world, saga)
        await world.service.cancel(ENGINEER, SagaId(saga.id))
        await world.is_now(saga.id, SagaStatus.CANCELLED)
    would = [None if item.kind is UndoKind.BRANCH else item.step for item in items if item.stays is None]
    assert would == await done(world, saga)
    assert would
    kept = [item.file for item in items if item.stays is not None]
    assert kept == (["condenser_output.json"] if moment == "at the second form" and not made_branch else [])
    assert await shown(world, saga) == ()


async def test_a_saga_that_is_cancelled_without_compensation_shows_only_its_task(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        await world.published(saga.id, "condenser")
    await world.service.cancel(ENGINEER, SagaId(saga.id), compensate=False)
    assert [item.kind for item in await shown(world, saga)] == [UndoKind.TASK]

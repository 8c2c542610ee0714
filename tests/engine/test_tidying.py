"""Tables grow with live sagas, not with time."""

from uuid import UUID

from sagas.ids import SagaId
from sagas.models import SagaStatus
from sagas.store import tidying
from tests.world import ENGINEER, World

STEP = "AWAIT_USER_CONDENSER_INPUT"


async def counts(world: World, saga_id: UUID) -> tuple[int, int]:
    keys = "SELECT count(*) FROM idempotency_record WHERE saga_id = $1"
    signals = "SELECT count(*) FROM signal WHERE saga_id = $1"
    return (
        await world.database.read(lambda c: c.fetchval(keys, saga_id)),
        await world.database.read(lambda c: c.fetchval(signals, saga_id)),
    )


async def execute(world: World, statement: str) -> None:
    await world.database.run(lambda c: c.execute(statement))


async def test_keys_and_signals_of_a_live_saga_stay_whatever_their_age(world: World) -> None:
    async with world.running():
        saga = await world.start(key="k")
        await world.give(saga.id, "condenser")
        await world.work(saga.id, "condenser")
        await world.reaches(saga.id, "AWAIT_USER_FEEDWATER_HEATERS_INPUT", SagaStatus.AWAITING_INPUT)
    await execute(world, "UPDATE signal SET created_at = created_at - interval '1 year' WHERE kind = 'RESULT'")
    before = await counts(world, saga.id)
    await world.database.run(tidying.forget_old)
    assert await counts(world, saga.id) == before
    assert before[0] == 1
    assert before[1] >= 2


async def test_what_a_saga_left_goes_thirty_days_after_its_end(world: World) -> None:
    async with world.running():
        saga = await world.start(key="k")
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
        await world.pushed(saga.branch)
        await world.service.cancel(ENGINEER, SagaId(saga.id))
        await world.is_now(saga.id, SagaStatus.CANCELLED)
    for age, left in (("29 days", (1, 1)), ("31 days", (0, 0))):
        await execute(world, f"UPDATE saga SET finished_at = clock_timestamp() - interval '{age}'")
        await world.database.run(tidying.forget_old)
        assert await counts(world, saga.id) == left


async def test_an_old_webhook_delivery_is_forgotten_and_a_new_one_kept(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
    for days in (8, 0):
        await world.pushed(saga.branch)
        await execute(world, f"UPDATE signal SET created_at = created_at - interval '{days} days'")
    await world.database.run(tidying.forget_old)
    assert (await counts(world, saga.id))[1] == 1

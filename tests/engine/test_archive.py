"""Growth: finished sagas go to the archive and come back for whoever asks, and nothing else notices."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from sagas.errors import RefusalCode, RefusedError
from sagas.ids import BlobId, ProjectId, SagaId
from sagas.models import Saga, SagaStatus
from sagas.retention import Retention, bring_all_back, bring_back, due, sweep
from sagas.store import archive, tidying
from sagas.store.database import Connection
from sagas.store.queries import Queries
from sagas.store.tasks import produced
from tests.engine.lost_commits import losing_commits
from tests.support import eventually
from tests.world import ENGINEER, FAST, World

AT_ONCE = Retention(timedelta(0))
_LATE_KEY = """
INSERT INTO idempotency_record (user_id, mutation, key, input_hash, saga_id, request_id)
VALUES (1, 'advanceSaga', 'late', '', $1, gen_random_uuid())
"""
_ROWS = """
SELECT 'saga' AS kind, to_jsonb(saga)::text AS it FROM saga
UNION ALL SELECT 'event', to_jsonb(saga_event)::text FROM saga_event
UNION ALL SELECT 'draft', to_jsonb(draft)::text FROM draft
UNION ALL SELECT 'task', to_jsonb(calculation_task)::text FROM calculation_task
ORDER BY 1, 2
"""


async def contents(world: World) -> list[tuple[str, str]]:
    """Every row that a saga has, as PostgreSQL writes it down."""
    return [tuple(record) for record in await world.database.read(lambda c: c.fetch(_ROWS))]


async def archived(world: World) -> int:
    return int(await world.database.read(lambda c: c.fetchval("SELECT count(*) FROM archived_saga")))


async def finished(world: World, branch: str = "issue/1-test", key: str | None = None) -> Saga:
    """A whole job."""
    async with world.running():
        saga = await world.start(branch, key)
        return await world.run_through(saga.id)


def queries(world: World) -> Queries:
    return Queries(world.database.engine, bring_back=lambda ids, may: bring_back(world.database, ids, may))


async def test_an_archived_saga_comes_back_to_the_last_digit_for_whoever_asks_for_it(world: World) -> None:
    saga = await finished(world)
    before = await contents(world)
    assert await sweep(world.database, AT_ONCE) == {
        name: int(name == "balance") for name in await world.database.read(archive.definitions)
    }
    assert {kind for kind, _ in await contents(world)} == {"task"}
    assert await archived(world) == 1
    assert await queries(world).saga(SagaId(saga.id)) == saga
    assert await contents(world) == before
    assert await archived(world) == 0


async def test_a_saga_stays_for_its_retention_which_its_definition_may_have_of_its_own(world: World) -> None:
    await finished(world)
    await world.database.run(lambda c: c.execute("UPDATE saga SET finished_at = now() - interval '40 days'"))
    long, short = timedelta(days=41), timedelta(days=39)
    for retention, expected in ((Retention(long), 0), (Retention(short, {"balance": long}), 0), (Retention(short), 1)):
        assert (await due(world.database, retention))["balance"] == expected
        assert (await sweep(world.database, retention))["balance"] == expected


async def test_a_key_that_comes_after_the_sweeps_look_keeps_its_saga(world: World) -> None:
    saga = await finished(world)

    async def late(connection: Connection) -> archive.Moved:
        return await archive.move_away(
            KeyAfterTheLook(connection, saga.id),
            "balance",
            older_than=timedelta(0),
            since=archive.BEGINNING,
            limit=10,
        )

    assert (await world.database.run(late, point="archive"))[:2] == (1, 0)
    assert await archived(world) == 0
    assert await world.database.read(lambda c: c.fetchval("SELECT saga_id FROM idempotency_record")) == saga.id


class KeyAfterTheLook:
    """A connection on which a key for the saga is there once its rows were looked for, as one that was just committed."""

    def __init__(self, connection: Connection, saga_id: UUID) -> None:
        self._connection, self._saga_id = connection, saga_id

    async def fetch(self, *asked: Any) -> Any:
        found = await self._connection.fetch(*asked)
        await self._connection.execute(_LATE_KEY, self._saga_id)
        return found

    async def fetchval(self, *asked: Any) -> Any:
        return await self._connection.fetchval(*asked)


async def test_what_is_not_finished_stays_whatever_its_age(world: World) -> None:
    """A failed saga waits for a person: it is not at its end."""
    saga = await world.start()
    world.forge.remove_branch(world.project, saga.branch)
    async with world.running():
        await world.is_now(saga.id, SagaStatus.FAILED)
    await world.database.run(
        lambda c: c.execute("UPDATE saga SET created_at = '2001-01-01', updated_at = '2001-01-01'")
    )
    assert not any((await sweep(world.database, AT_ONCE)).values())
    assert await archived(world) == 0


async def test_a_saga_whose_key_is_kept_stays_until_the_key_is_forgotten(world: World) -> None:
    saga = await finished(world, key="k")
    assert (await sweep(world.database, AT_ONCE))["balance"] == 0
    again = await world.service.start_balance(
        ENGINEER, project_path="plant/unit", branch=saga.branch, idempotency_key="k"
    )
    assert again.saga.id == saga.id
    await world.database.run(lambda c: c.execute("UPDATE saga SET finished_at = now() - interval '31 days'"))
    await world.database.run(tidying.forget_old)
    assert (await sweep(world.database, AT_ONCE))["balance"] == 1


async def test_an_output_of_an_archived_saga_is_still_known_to_be_current(world: World) -> None:
    """Else a calculation would be done a second time because its first one is old."""
    await finished(world)
    published = len(world.publisher.published)
    await sweep(world.database, AT_ONCE)
    second = await finished_again(world)
    states = {entry[3] for entry in await world.journal(second.id)}
    assert "DISPATCH_CONDENSER" not in states
    assert "DISPATCH_FEEDWATER_HEATERS" not in states
    assert len(world.publisher.published) == published + 1, "the balance itself"
    rows = await world.database.read(
        lambda c: c.fetch("SELECT output_blob FROM calculation_task WHERE calculation = 'condenser'")
    )
    assert await world.database.read(
        lambda c: produced(
            c,
            project_id=ProjectId(world.project.id),
            branch=second.branch,
            calculation="condenser",
            output_blob=BlobId(rows[0]["output_blob"]),
        )
    )


async def finished_again(world: World) -> Saga:
    async with world.running():
        saga = await world.start()
        await world.work(saga.id, "balance")
        return await world.reaches(saga.id, "COMPLETED", SagaStatus.COMPLETED)


async def test_an_issue_whose_saga_is_archived_keeps_its_branch(world: World) -> None:
    world.forge.add_issue(world.project, "New tubes")
    for name in ("issue/1-a", "issue/1-b"):
        world.forge.add_branch(world.project, name)
    async with world.running():
        saga = await world.start("issue/1-b")
        await world.run_through(saga.id)
    await world.database.run(lambda c: c.execute("UPDATE saga SET issue_iid = 1"))
    await sweep(world.database, AT_ONCE)
    answer = await world.service.start_balance(ENGINEER, project_path="plant/unit", issue_iid=1)
    assert answer.saga.branch == "issue/1-b", "and not: several branches, name one"


async def test_a_command_on_an_archived_saga_is_refused_as_on_any_finished_one(world: World) -> None:
    saga = await finished(world)
    await sweep(world.database, AT_ONCE)
    with pytest.raises(RefusedError) as refused:
        await world.service.cancel(ENGINEER, SagaId(saga.id))
    assert refused.value.problems[0].code is RefusalCode.WRONG_STATE


async def test_a_saga_that_never_was_is_not_found_in_the_archive_either(world: World) -> None:
    assert await queries(world).sagas([SagaId(UUID(int=1))]) == {}
    assert await bring_back(world.database, [SagaId(UUID(int=1))]) == 0


async def test_whoever_asked_for_an_archived_saga_can_read_on_for_a_day_however_often_is_swept(world: World) -> None:
    """A page of its journal after the other: not the first, and then nothing."""
    saga = await finished(world)
    await sweep(world.database, AT_ONCE)
    read = queries(world)
    assert await read.saga(SagaId(saga.id)) == saga
    assert (await due(world.database, AT_ONCE))["balance"] == 0
    assert (await sweep(world.database, AT_ONCE))["balance"] == 0
    assert [event.version for event in await read.events(SagaId(saga.id), 0, 100)] == list(range(1, saga.version + 1))
    await world.database.run(lambda c: c.execute("UPDATE returned_saga SET returned_at = now() - interval '25 hours'"))
    assert (await sweep(world.database, AT_ONCE))["balance"] == 1
    assert await read.saga(SagaId(saga.id)) == saga, "and back once more"


@pytest.mark.parametrize("place", ["database.archive", "database.unarchive"])
async def test_a_move_whose_commit_lost_its_answer_leaves_the_saga_in_one_place(
    world: World, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    saga = await finished(world)
    before = await contents(world)
    with losing_commits(monkeypatch, place, lambda number: number == 1) as lost:
        await sweep(world.database, AT_ONCE)
        assert await queries(world).saga(SagaId(saga.id)) == saga
    assert lost
    assert await contents(world) == before
    assert await archived(world) == 0


async def test_two_sweeps_and_readers_at_once_neither_lose_nor_double_anything(world: World) -> None:
    branches = [f"issue/{number}-test" for number in range(2, 8)]
    for branch in branches:
        world.forge.add_branch(world.project, branch)
    sagas = [await finished(world, branch) for branch in branches]
    before = await contents(world)
    work: list[Callable[[], Awaitable[Any]]] = [
        lambda: sweep(world.database, AT_ONCE),
        lambda: sweep(world.database, AT_ONCE),
        *(lambda saga=saga: queries(world).sagas([SagaId(saga.id)]) for saga in sagas),
    ]
    for _ in range(5):
        await gather_all(work)
        await world.database.run(lambda c: c.execute("UPDATE returned_saga SET returned_at = '2001-01-01'"))
    await bring_all_back(world.database)
    assert await contents(world) == before
    assert await archived(world) == 0


async def gather_all(work: list[Callable[[], Awaitable[Any]]]) -> None:
    await asyncio.gather(*(each() for each in work))


async def test_a_row_that_somebody_holds_is_left_for_the_next_time_and_waited_for_by_nobody(
    world: World, database_url: str
) -> None:
    saga = await finished(world)
    holder = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    async with holder.transaction():
        await holder.execute("SELECT FROM saga WHERE id = $1 FOR UPDATE", saga.id)
        assert (await sweep(world.database, AT_ONCE))["balance"] == 0
    await holder.close()
    assert (await sweep(world.database, AT_ONCE))["balance"] == 1


async def test_what_was_archived_before_a_column_was_added_comes_back_with_its_default(world: World) -> None:
    saga = await finished(world)
    await sweep(world.database, AT_ONCE)
    await world.database.run(
        lambda c: c.execute(
            "UPDATE archived_saga SET saga = saga - 'signals_seen' || '{\"gone_since\": 1}',"
            " events = (SELECT jsonb_agg(event - 'data') FROM jsonb_array_elements(events) AS event)"
        )
    )
    found = await queries(world).saga(SagaId(saga.id))
    assert found is not None
    assert found.signals_seen == 0
    assert len(await world.journal(saga.id)) == saga.version


async def test_an_engine_sweeps_by_itself(world: World) -> None:
    saga = await finished(world)
    await world.database.run(lambda c: c.execute("UPDATE saga SET finished_at = now() - interval '400 days'"))
    async with world.running(FAST):

        async def gone() -> bool:
            return await archived(world) == 1

        await eventually(gone)
    assert await queries(world).saga(SagaId(saga.id)) is not None

"""Live updates (design section 7): no change is missed when a connection, a message or a process is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
import pytest

from app.adapters.broadcast import CHANNEL, LARGEST_PAYLOAD, BroadcastAnnouncer, open_broadcast
from app.live import Hub
from sagas.ids import SagaId
from sagas.ports import Hint
from sagas.store import feed
from sagas.store.database import Database
from tests.support import eventually


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, size=4)
    yield opened
    await opened.close()


@asynccontextmanager
async def open_hub(database_url: str, database: Database, *, safety_read_s: float = 3600) -> AsyncIterator[Hub]:
    async with open_broadcast(database_url) as broadcast:
        hub = Hub(broadcast, database, safety_read_s=safety_read_s)
        await hub.start()
        try:
            await eventually(lambda: hub.health() is None)
            yield hub
        finally:
            await hub.aclose()


async def new_saga(database: Database) -> SagaId:
    saga_id = uuid4()

    async def insert(connection: asyncpg.Connection) -> None:
        await connection.execute(
            "INSERT INTO saga_definition (name, version, hash, document) VALUES ('d', 1, 'h', '{}') ON CONFLICT DO NOTHING"
        )
        await connection.execute(
            """INSERT INTO saga (id, definition_name, definition_version, state, visit, status, version, project_id,
                                 project_path, branch, natural_key, started_by_id)
               VALUES ($1, 'd', 1, 'S', 1, 'RUNNING', 1, 1, 'p', 'b', 'k', 1)""",
            saga_id,
        )

    await database.run(insert)
    return SagaId(saga_id)


async def add_event(connection: asyncpg.Connection, saga_id: UUID, version: int) -> None:
    await connection.execute(
        "INSERT INTO saga_event (saga_id, version, type, to_state, status, actor) "
        "VALUES ($1, $2, 'ENTERED', 'S', 'RUNNING', 'engine')",
        saga_id,
        version,
    )


async def drained(subscription: object) -> None:
    """Take the news of the hub's own start."""
    while True:
        try:
            await asyncio.wait_for(subscription.changed(), 0.3)  # type: ignore[attr-defined]  # a Subscription
        except TimeoutError:
            return


async def test_an_announcement_reaches_another_process(database_url: str, database: Database) -> None:
    saga_id = await new_saga(database)
    async with open_hub(database_url, database) as hub, open_broadcast(database_url) as elsewhere:
        async with hub.watch(saga_id) as one, hub.watch() as every, hub.watch(SagaId(uuid4())) as other:
            for subscription in (one, every, other):
                await drained(subscription)
            announcer = BroadcastAnnouncer(elsewhere)
            announcer.announce([Hint(saga_id, 2)])
            assert await asyncio.wait_for(one.changed(), 5) == frozenset({saga_id})
            assert await asyncio.wait_for(every.changed(), 5) == frozenset({saga_id})
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(other.changed(), 0.2)
            await announcer.aclose()


async def test_who_follows_the_other_processes_is_not_woken_by_his_own(database_url: str, database: Database) -> None:
    one, other = await new_saga(database), await new_saga(database)
    async with open_hub(database_url, database) as hub, open_broadcast(database_url) as broadcast:
        async with hub.watch(elsewhere=True) as follower, hub.watch() as every:
            for subscription in (follower, every):
                await drained(subscription)
            own = BroadcastAnnouncer(broadcast, local=hub.hint, name=hub.name)
            own.announce([Hint(one, 2)])
            assert await asyncio.wait_for(every.changed(), 5) == frozenset({one})
            await own.aclose()
            foreign = BroadcastAnnouncer(broadcast, local=None, name="another")
            foreign.announce([Hint(other, 2)])
            assert await asyncio.wait_for(follower.changed(), 5) == frozenset({other})
            await foreign.aclose()


async def test_a_thousand_announcements_at_once_are_few_messages_of_legal_size(
    database_url: str, database: Database
) -> None:
    heard: list[str] = []
    listener = await asyncpg.connect(database_url)
    await listener.add_listener(CHANNEL, lambda *told: heard.append(told[-1]))
    async with open_broadcast(database_url) as broadcast:
        announcer = BroadcastAnnouncer(broadcast)
        ids = [SagaId(uuid4()) for _ in range(1000)]
        for version in (1, 2, 3):
            for saga_id in ids:
                announcer.announce([Hint(saga_id, version)])
        await eventually(lambda: sum(message.count(":") for message in heard) >= 1000)
        await announcer.aclose()
    await listener.close()
    assert max(len(message.encode()) for message in heard) <= LARGEST_PAYLOAD
    assert len(heard) < 20


async def test_a_killed_listen_connection_is_replaced_and_everybody_reads_again(
    database_url: str, database: Database
) -> None:
    saga_id = await new_saga(database)
    async with open_hub(database_url, database) as hub, hub.watch(saga_id) as watch:
        await drained(watch)
        killed = await database.read(
            lambda c: c.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' "
                "AND datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        assert killed
        assert await asyncio.wait_for(watch.changed(), 10) is None
        async with open_broadcast(database_url) as elsewhere:
            announcer = BroadcastAnnouncer(elsewhere)
            announcer.announce([Hint(saga_id, 2)])
            assert await asyncio.wait_for(watch.changed(), 5) == frozenset({saga_id})
            await announcer.aclose()


async def test_without_any_announcement_the_safety_read_tells_the_change(database_url: str, database: Database) -> None:
    saga_id = await new_saga(database)
    async with open_hub(database_url, database, safety_read_s=0.1) as hub, hub.watch(saga_id) as watch:
        await drained(watch)
        await database.run(lambda c: add_event(c, saga_id, 1))
        assert await asyncio.wait_for(watch.changed(), 5) == frozenset({saga_id})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch.changed(), 0.5)


async def test_an_older_transaction_that_commits_later_is_not_lost(database_url: str, database: Database) -> None:
    early, late = await new_saga(database), await new_saga(database)
    position = await database.read(feed.present)
    slow = await asyncpg.connect(database_url)
    transaction = slow.transaction()
    await transaction.start()
    await add_event(slow, early, 1)
    await database.run(lambda c: add_event(c, late, 1))
    first = await database.read(lambda c: feed.walk(c, position, limit=100))
    await transaction.commit()
    await slow.close()
    second = await database.read(lambda c: feed.walk(c, first.position, limit=100))
    assert [hint.saga_id for hint in (*first.hints, *second.hints)] == [early, late]


async def test_a_thousand_subscribers_cost_one_read_each_second_and_hear_everything(
    database_url: str, database: Database
) -> None:
    saga_id = await new_saga(database)
    async with open_hub(database_url, database) as hub:
        heard = 0

        async def reader() -> None:
            nonlocal heard
            async with hub.watch(saga_id) as watch:
                while saga_id not in (await watch.changed() or ()):
                    pass
                heard += 1

        readers = [asyncio.create_task(reader()) for _ in range(1000)]
        await asyncio.sleep(0)
        hub.hint([Hint(saga_id, 2)])
        await asyncio.wait_for(asyncio.gather(*readers), 5)
        assert heard == 1000
        assert not hub._of_one


async def test_a_reader_that_never_reads_keeps_constant_memory(database_url: str, database: Database) -> None:
    async with open_hub(database_url, database) as hub, hub.watch() as watch:
        for _ in range(5000):
            hub.hint([Hint(SagaId(uuid4()), 1)])
        assert await watch.changed() is None


async def test_a_restored_older_database_makes_everybody_read_again(database_url: str, database: Database) -> None:
    ahead = feed.Position(10**15)
    step = await database.read(lambda c: feed.walk(c, ahead, limit=10))
    assert step.reset
    assert step.position.xid < ahead.xid

"""What a subscriber may expect of the ChangeFeed port while connections, servers and messages are lost under it."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from uuid import uuid4

import asyncpg
import psutil
import pytest
from broadcaster import Broadcast

from app.adapters.broadcast import BroadcastAnnouncer, ListeningPostgres, open_broadcast
from app.adapters.embedded import PostgresServer
from app.live import Hub, Subscription
from app.migrate import migrate
from sagas.ids import SagaId
from sagas.ports import Announcer, ChangeFeed, Hint
from sagas.store import feed
from sagas.store.database import Connection, Database
from tests.support import eventually
from tests.support_postgres import data_directory

T = TypeVar("T")
PATIENCE = 30.0
NEVER = 3600.0


def _conforms(hub: Hub, announcer: BroadcastAnnouncer) -> tuple[ChangeFeed, Announcer]:
    return hub, announcer


class SilentAnnouncer:
    """Every announcement is lost."""

    def announce(self, hints: object) -> None:
        pass


@dataclass
class Journal:
    """Sagas as far as the feed is concerned: rows whose version grows, with an entry for each."""

    database: Database

    async def new_saga(self) -> SagaId:
        saga_id = SagaId(uuid4())
        await self.database.run(lambda connection: _insert_saga(connection, saga_id))
        return saga_id

    async def grow(self, saga_id: SagaId) -> int:
        """One more entry, as a decision writes it: under the row's lock. Returns its version."""
        return await self.database.run(lambda connection: _append(connection, saga_id))

    async def after(self, saga_id: SagaId, version: int) -> list[int]:
        query = "SELECT version FROM saga_event WHERE saga_id = $1 AND version > $2 ORDER BY version"
        records = await self.database.read(lambda connection: connection.fetch(query, saga_id, version))
        return [record["version"] for record in records]


async def _insert_saga(connection: Connection, saga_id: SagaId) -> None:
    await connection.execute(
        "INSERT INTO saga_definition (name, version, hash, document) VALUES ('d', 1, 'h', '{}') ON CONFLICT DO NOTHING"
    )
    await connection.execute(
        """INSERT INTO saga (id, definition_name, definition_version, state, visit, status, version, project_id,
                             project_path, branch, natural_key, started_by_id)
           VALUES ($1, 'd', 1, 'S', 1, 'RUNNING', 1, 1, 'p', 'b', 'k', 1) ON CONFLICT DO NOTHING""",
        saga_id,
    )
    await connection.execute(_EVENT + " ON CONFLICT DO NOTHING", saga_id, 1)


_EVENT = (
    "INSERT INTO saga_event (saga_id, version, type, to_state, status, actor) "
    "VALUES ($1, $2, 'ENTERED', 'S', 'RUNNING', 'engine')"
)


async def _append(connection: Connection, saga_id: SagaId) -> int:
    version = int(
        await connection.fetchval("UPDATE saga SET version = version + 1 WHERE id = $1 RETURNING version", saga_id)
    )
    await connection.execute(_EVENT, saga_id, version)
    return version


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, size=6, patience=PATIENCE)
    yield opened
    await opened.close()


@asynccontextmanager
async def open_hub(broadcast: Broadcast, database: Database, *, safety_read_s: float = NEVER) -> AsyncIterator[Hub]:
    hub = Hub(broadcast, database, safety_read_s=safety_read_s)
    await hub.start()
    try:
        await eventually(lambda: hub.health() is None)
        yield hub
    finally:
        await hub.aclose()


async def follow(hub: Hub, journal: Journal, saga_id: SagaId, *, until: int) -> list[int]:
    """What a subscription does: read on from what it has, wait for news, read on."""
    seen: list[int] = []
    async with hub.watch(saga_id) as watch:
        while not seen or seen[-1] < until:
            seen.extend(await journal.after(saga_id, seen[-1] if seen else 0))
            if not seen or seen[-1] < until:
                await watch.changed()
    return seen


async def listeners(connection: Connection) -> list[int]:
    records = await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND (query LIKE 'LISTEN%' OR query = 'SELECT 1')"
    )
    return [record["pid"] for record in records]


async def kill_listeners(connection: Connection) -> int:
    for pid in (pids := await listeners(connection)):
        await connection.execute("SELECT pg_terminate_backend($1)", pid)
    return len(pids)


async def write_and_announce(
    journal: Journal, announcer: BroadcastAnnouncer | SilentAnnouncer, saga_id: SagaId, *, until: int, slow: bool
) -> None:
    version = 1
    while version < until:
        version = await journal.grow(saga_id)
        announcer.announce([Hint(saga_id, version)])
        if slow:
            await asyncio.sleep(random.uniform(0, 0.01))


async def test_nothing_is_lost_or_doubled_while_the_listen_connection_is_killed_again_and_again(
    database_url: str, database: Database
) -> None:
    journal, last = Journal(database), 200
    sagas = [await journal.new_saga() for _ in range(3)]
    kills = 0
    # Announcements only: the safety read sleeps, so what arrives came by NOTIFY or by reading again after the gap.
    async with (
        open_broadcast(database_url) as broadcast,
        open_broadcast(database_url) as elsewhere,
        open_hub(broadcast, database) as hub,
    ):
        announcer = BroadcastAnnouncer(elsewhere)
        readers = [asyncio.create_task(follow(hub, journal, saga, until=last)) for saga in sagas for _ in range(2)]
        writers = [
            asyncio.create_task(write_and_announce(journal, announcer, saga, until=last, slow=True)) for saga in sagas
        ]
        while not all(writer.done() for writer in writers):
            kills += await database.read(kill_listeners)
            await asyncio.sleep(0.1)
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*writers)
            # A hint that went into a killed connection is made good by the reading again after it.
            assert await asyncio.gather(*readers) == [list(range(1, last + 1))] * 6
        await announcer.aclose()
    assert kills >= 3, "the test killed too little to show anything"


async def test_with_every_announcement_lost_changes_arrive_within_two_seconds(
    database_url: str, database: Database
) -> None:
    journal = Journal(database)
    saga_id = await journal.new_saga()
    async with open_broadcast(database_url) as broadcast, open_hub(broadcast, database, safety_read_s=1.0) as hub:
        reader = asyncio.create_task(follow(hub, journal, saga_id, until=2))
        await eventually(lambda: hub._of_one.get(saga_id))
        await asyncio.sleep(0)
        version = await journal.grow(saga_id)
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(PATIENCE):
            assert await reader == [1, version]
        assert asyncio.get_running_loop().time() - began < 2.5


async def test_a_connection_that_went_dead_without_a_word_is_noticed_by_its_heartbeat(
    database_url: str, database: Database
) -> None:
    journal = Journal(database)
    saga_id = await journal.new_saga()
    backend = ListeningPostgres(database_url, heartbeat_s=0.2, answer_s=0.5)
    async with Broadcast(backend=backend) as broadcast, open_hub(broadcast, database) as hub:
        reader = asyncio.create_task(follow(hub, journal, saga_id, until=2))
        await eventually(lambda: backend.listens)
        (frozen,) = await database.read(listeners)
        os.kill(frozen, signal.SIGSTOP)
        try:
            await journal.grow(saga_id)
            async with asyncio.timeout(PATIENCE):
                assert await reader == [1, 2]
        finally:
            os.kill(frozen, signal.SIGCONT)


async def test_postgresql_killed_and_started_again_under_a_stream_leaves_no_gap() -> None:
    with data_directory() as directory:
        server = PostgresServer(directory, durable=False)
        url = server.start()
        await migrate(url)
        database = await Database.open(url, size=4, patience=PATIENCE)
        journal, last = Journal(database), 60
        saga_id = await journal.new_saga()
        try:
            async with (
                open_broadcast(url) as broadcast,
                open_broadcast(url) as elsewhere,
                open_hub(broadcast, database, safety_read_s=0.2) as hub,
            ):
                announcer = BroadcastAnnouncer(elsewhere, local=None)
                reader = asyncio.create_task(follow(hub, journal, saga_id, until=last))
                writer = asyncio.create_task(write_and_announce(journal, announcer, saga_id, until=last, slow=True))
                for _ in range(2):
                    await asyncio.sleep(0.1)
                    pid = server.pid
                    assert pid is not None
                    os.kill(pid, signal.SIGKILL)
                    await eventually(lambda: server.pid is None)
                    server.start()  # in this thread: the server ends with the one that started it
                async with asyncio.timeout(60):
                    await writer
                    seen = await reader
                await eventually(lambda: hub.health() is None)
                await announcer.aclose()
            assert seen == list(range(1, seen[-1] + 1))
            assert seen[-1] >= last
        finally:
            await database.close()
            server.stop()


async def test_a_database_that_is_away_is_told_by_health_and_forgotten_when_it_is_back() -> None:
    with data_directory() as directory:
        server = PostgresServer(directory, durable=False)
        url = server.start()
        await migrate(url)
        database = await Database.open(url, size=2, patience=0.2)
        try:
            async with open_broadcast(url) as broadcast, open_hub(broadcast, database, safety_read_s=0.1) as hub:
                server.stop()
                await eventually(lambda: "database does not answer" in str(hub.health()), timeout=PATIENCE)
                server.start()
                await eventually(lambda: hub.health() is None, timeout=PATIENCE)
        finally:
            await database.close()
            server.stop()


async def test_an_announcer_whose_database_is_away_raises_nothing_and_goes_on_when_it_is_back() -> None:
    with data_directory() as directory:
        server = PostgresServer(directory, durable=False)
        url = server.start()
        try:
            async with open_broadcast(url) as broadcast:
                announcer = BroadcastAnnouncer(broadcast)
                heard: list[str] = []
                announcer.announce([Hint(SagaId(uuid4()), 1)])
                server.stop()
                announcer.announce([Hint(SagaId(uuid4()), 2)])
                await eventually(lambda: announcer._sending is None or announcer._sending.done(), timeout=PATIENCE)
                server.start()
                listener = await asyncpg.connect(url)
                await listener.add_listener("saga_changes", lambda *told: heard.append(str(told[-1])))
                saga_id = SagaId(uuid4())
                announcer.announce([Hint(saga_id, 3)])
                await eventually(lambda: f"{saga_id}:3" in heard)
                await listener.close()
                await announcer.aclose()
        finally:
            server.stop()


async def test_a_thousand_slow_readers_take_memory_that_does_not_grow_with_the_changes(
    database_url: str, database: Database
) -> None:
    journal = Journal(database)
    saga_id = await journal.new_saga()
    async with open_broadcast(database_url) as broadcast, open_hub(broadcast, database) as hub:
        async with _thousand_watches(hub, saga_id) as watches:
            hub.hint([Hint(saga_id, 1)])
            process = psutil.Process()
            before = process.memory_info().rss
            for version in range(2, 3_000):
                hub.hint([Hint(saga_id, version)])
            assert process.memory_info().rss - before < 8_000_000
            assert {await watch.changed() for watch in watches} <= {frozenset({saga_id}), None}


@asynccontextmanager
async def _thousand_watches(hub: Hub, saga_id: SagaId) -> AsyncIterator[list[Subscription]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(hub.watch(saga_id)) for _ in range(1000)]


async def test_the_safety_read_follows_the_index_and_not_the_journal_s_size(any_database_url: str) -> None:
    """On both versions of PostgreSQL: a plan that read the whole journal each second would be felt by everybody."""
    database = await Database.open(any_database_url, size=2)
    try:
        journal = Journal(database)
        saga_id = await journal.new_saga()
        for _ in range(20):
            await journal.grow(saga_id)
        position = await database.read(feed.present)
        await database.read(lambda c: c.execute("ANALYZE saga_event"))
        rows = await database.read(lambda c: _plan(c, position))
    finally:
        await database.close()
    assert "ix_saga_event_feed" in rows
    assert "Seq Scan" not in rows


async def _plan(connection: Connection, position: feed.Position) -> str:
    async with connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        records = await connection.fetch(
            "EXPLAIN " + feed.FEED, str(position.xid), position.saga_id, position.version, 100
        )
    return "\n".join(record[0] for record in records)

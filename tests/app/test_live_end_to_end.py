"""Live updates through the real hub: what keeps them gap-free when connections die."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.adapters.broadcast import BroadcastAnnouncer, open_broadcast
from app.live import Hub
from tests.app.api import Api, saga_id, serving
from tests.app.listening import listening
from tests.app.test_subscriptions import EVENTS, UPDATED
from tests.support import eventually
from tests.world import World

KILL_LISTENERS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()"""


@pytest.fixture
async def api(world: World, database_url: str) -> AsyncIterator[Api]:
    async with real_hub(world, database_url) as hub, serving(world, hub=hub[0], announcer=hub[1]) as made:
        yield made


@asynccontextmanager
async def real_hub(world: World, url: str) -> AsyncIterator[tuple[Hub, BroadcastAnnouncer]]:
    async with open_broadcast(url) as broadcast:
        hub = Hub(broadcast, world.database)
        await hub.start()
        # Without the local short cut, so that every hint takes the way through PostgreSQL.
        announcer = BroadcastAnnouncer(broadcast)
        await eventually(lambda: hub.health() is None, what="the hub hears")
        try:
            yield hub, announcer
        finally:
            await announcer.aclose()
            await hub.aclose()


async def test_events_have_no_gap_though_listen_connections_and_websockets_die_in_mid_stream(
    api: Api, world: World
) -> None:
    saga = await world.start()
    running = asyncio.create_task(world.run_through(saga.id))
    chance = random.Random(7)
    seen: list[int] = []
    killed = 0
    ended = False
    async with listening(api.app) as server:
        while not ended:
            async with server.client() as peer:
                await peer.subscribe(EVENTS, saga=saga_id(saga), after=seen[-1] if seen else 0)
                for _ in range(chance.randint(2, 6)):
                    message = await peer.receive()
                    if message["type"] == "complete":
                        ended = True
                        break
                    seen.append(message["payload"]["data"]["sagaEvents"]["version"])
                    if chance.random() < 0.4:
                        killed += len(await world.database.read(lambda connection: connection.fetch(KILL_LISTENERS)))
                peer.connection.transport.abort()
    done = await running
    assert seen == list(range(1, done.version + 1))
    assert killed > 0


async def test_three_hundred_subscribers_of_one_saga_all_see_its_end(api: Api, world: World) -> None:
    saga = await world.start()
    async with listening(api.app) as server:
        async with server.client() as first, server.client() as second, server.client() as third:
            peers = (first, second, third)
            for number in range(100):
                for peer in peers:
                    await peer.subscribe(UPDATED, name=str(number), saga=saga_id(saga))
            running = asyncio.create_task(world.run_through(saga.id))
            for peer in peers:
                completed: set[str] = set()
                last: dict[str, str] = {}
                while len(completed) < 100:
                    message = await peer.receive()
                    if message["type"] == "complete":
                        completed.add(message["id"])
                    else:
                        last[message["id"]] = message["payload"]["data"]["sagaUpdated"]["status"]
                assert set(last.values()) == {"COMPLETED"}
            await running

"""npm's graphql-ws client on a bad day: connections cut in mid-frame, the LISTEN connection killed, a token that ends."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from app import graphql_ws
from tests.app.api import Api, limit, saga_id, serving
from tests.app.listening import listening
from tests.app.test_live_end_to_end import KILL_LISTENERS, real_hub
from tests.npm.cutting import Cutting
from tests.npm.needs import NODE
from tests.npm.node import Script, running
from tests.world import ENGINEER, World

EVENTS = """subscription ($saga: ID!, $after: Int) {
  sagaEvents(sagaId: $saga, afterVersion: $after) { version type status occurredAt }
}"""
RESTART = 1012

pytestmark = NODE


@pytest.fixture
async def api(world: World, database_url: str) -> AsyncIterator[Api]:
    """The service whose hints all take the way through PostgreSQL."""
    async with real_hub(world, database_url) as (hub, announcer), serving(world, hub=hub, announcer=announcer) as made:
        yield made


async def test_it_sees_every_event_once_though_its_connections_are_cut_and_listen_is_killed(
    api: Api, world: World
) -> None:
    saga = await world.start()
    chance = random.Random(4)
    killed = 0
    seen: list[int] = []
    async with listening(api.app) as server, Cutting(server.port, chance, 350, 600).open() as network:
        url = f"ws://127.0.0.1:{network.port}/graphql"
        async with running("graphql_ws.mjs", url=url, token="irina", saga=saga_id(saga), query=EVENTS) as client:
            job = asyncio.create_task(world.run_through(saga.id))
            while "completed" not in (message := await client.tells()):
                if "version" in message:
                    seen.append(message["version"])
                    if chance.random() < 0.4:
                        killed += len(await world.database.read(lambda connection: connection.fetch(KILL_LISTENERS)))
            done = await job
        cuts = network.cuts
    assert seen == list(range(1, done.version + 1))
    assert cuts >= 5
    assert killed >= 2


async def test_it_comes_back_with_a_fresh_token_and_after_a_restart_and_goes_on_where_it_was(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphql_ws, "REAUTHENTICATE_S", 0.1)
    saga = await world.start()
    seen: list[int] = []
    async with listening(api.app) as server:
        port = server.port
        url = f"ws://127.0.0.1:{port}/graphql"
        async with running("graphql_ws.mjs", url=url, token="irina", saga=saga_id(saga), query=EVENTS) as client:
            await _told(client, seen, "version")
            del api.tokens.users["irina"]
            await _told(client, seen, "closed", graphql_ws.FORBIDDEN)
            api.tokens.users["irina"] = ENGINEER
            await _told(client, seen, "connected")
            limit(api, connections=0)
            for connection in list(server.server.server_state.connections):
                connection.shutdown()  # as uvicorn does when it stops
            await _told(client, seen, "closed", RESTART)
            await _told(client, seen, "closed", graphql_ws.TRY_AGAIN_LATER)
            limit(api, connections=10)
            job = asyncio.create_task(world.run_through(saga.id))
            while "completed" not in (message := await client.tells()):
                if "version" in message:
                    seen.append(message["version"])
            done = await job
    assert seen == list(range(1, done.version + 1))


async def _told(client: Script, seen: list[int], what: str, value: object = None) -> None:
    """Wait until the client tells this; the versions of events that it tells are kept."""
    while True:
        message = await client.tells()
        if "version" in message:
            seen.append(message["version"])
        if what in message and value in {None, message[what]}:
            return

"""npm's graphql-sse client: any operation over server-sent events, and a saga's events over a network that cuts."""

import asyncio
import random
from typing import Any

from sagas.ports import AccessLevel
from tests.app.api import Api, saga_id
from tests.app.listening import Listener
from tests.npm.cutting import Cutting
from tests.npm.needs import NODE
from tests.npm.node import run, running
from tests.world import COLLEAGUE, World

EVENTS = "subscription ($saga: ID!, $after: Int) { sagaEvents(sagaId: $saga, afterVersion: $after) { version type } }"

pytestmark = NODE


async def test_it_sees_every_event_once_though_its_connections_are_cut(
    api: Api, world: World, server: Listener
) -> None:
    saga = await world.start()
    seen: list[int] = []
    async with Cutting(server.port, random.Random(5), 400, 800).open() as network:
        url = f"http://127.0.0.1:{network.port}/graphql"
        async with running("graphql_sse.mjs", url=url, token="irina", saga=saga_id(saga), query=EVENTS) as client:
            job = asyncio.create_task(world.run_through(saga.id))
            while "completed" not in (message := await client.tells()):
                if "data" in message:
                    seen.append(message["data"]["sagaEvents"]["version"])
            done = await job
        cuts = network.cuts
    assert seen == list(range(1, done.version + 1))
    assert cuts >= 2


async def test_queries_work_over_it_and_refusals_have_their_codes(api: Api, world: World, server: Listener) -> None:
    saga = await world.start()
    world.access.set(COLLEAGUE, world.project.id, AccessLevel.NONE)
    url = f"http://127.0.0.1:{server.port}/graphql"

    async def answers(token: str, query: str) -> list[Any]:
        told = await run("graphql_sse.mjs", url=url, token=token, saga=saga_id(saga), query=query)
        assert told[-1] == {"completed": True}
        return [message for message in told if "connecting" not in message][:-1]

    asked = "query ($saga: ID!) { saga(id: $saga) { branch } }"
    assert await answers("irina", asked) == [{"data": {"saga": {"branch": saga.branch}}}]
    assert await answers("pavel", asked) == [{"data": {"saga": None}}]
    assert await answers("pavel", EVENTS) == [{"codes": ["NOT_FOUND"]}]
    assert await answers("nobody", EVENTS) == [{"codes": ["UNAUTHENTICATED"]}]
    assert await answers("irina", "{ nothing }") == [{"codes": ["GRAPHQL_VALIDATION_FAILED"]}]
    assert await answers("irina", "{ viewer {") == [{"codes": ["GRAPHQL_PARSE_FAILED"]}]

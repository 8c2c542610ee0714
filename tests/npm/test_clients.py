"""The clients that frontends use, unmodified: over websockets, server-sent events and multipart answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sagas.ids import SagaId
from sagas.models import Saga, SagaStatus
from tests.app.api import Api, saga_id
from tests.app.listening import Listener
from tests.npm.needs import NODE
from tests.npm.node import Script, running
from tests.support import eventually
from tests.world import ENGINEER

SAGA = "query ($saga: ID!) { saga(id: $saga) { branch } viewer { username } }"
PAUSE = (
    """mutation ($input: SagaActionInput!) { pauseSaga(input: $input) { saga { status } userErrors { code field } } }"""
)
EVENTS = """subscription ($saga: ID!) { sagaEvents(sagaId: $saga) { version type } }"""

pytestmark = NODE


every_client = pytest.mark.parametrize(
    ("client", "over"),
    [("urql", "websocket"), ("urql", "events"), ("apollo", "websocket"), ("apollo", "multipart")],
)


@asynccontextmanager
async def at_work(server: Listener, client: str, over: str, saga: Saga) -> AsyncIterator[Script]:
    """The client's script, which asks, asks wrongly, pauses the saga and follows its events."""
    async with running(
        f"{client}.mjs",
        url=f"http://127.0.0.1:{server.port}/graphql",
        socket=f"ws://127.0.0.1:{server.port}/graphql",
        token="irina",
        over=over,
        query=SAGA,
        variables={"saga": saga_id(saga)},
        mutation=PAUSE,
        mutationVariables={"input": {"sagaId": saga_id(saga)}},
        subscription=EVENTS,
    ) as script:
        yield script


@every_client
async def test_a_client_as_it_is_asks_commands_and_follows(api: Api, server: Listener, client: str, over: str) -> None:
    saga = await api.world.start()
    await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    async with at_work(server, client, over, saga) as script:
        asked = (await script.tells())["data"]
        assert (asked["saga"]["branch"], asked["viewer"]["username"]) == (saga.branch, "irina")
        wrong = await script.tells()
        assert (wrong["data"], wrong["codes"]) == (None, ["GRAPHQL_VALIDATION_FAILED"])
        assert (await script.tells())["data"]["pauseSaga"]["userErrors"] == []
        seen = [await version(script)]
        await api.world.is_now(saga.id, SagaStatus.PAUSED)
        await api.services.sagas.resume(ENGINEER, SagaId(saga.id))
        done = await api.world.run_through(saga.id)
        while seen[-1] < done.version:
            seen.append(await version(script))
        assert seen == list(range(1, done.version + 1))
        await eventually(lambda: not api.feed.subscribers, what="the finished subscription is let go")
        await script.told("end")


@every_client
async def test_a_client_that_goes_leaves_nothing_behind(api: Api, server: Listener, client: str, over: str) -> None:
    saga = await api.world.start()
    await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    async with at_work(server, client, over, saga) as script:
        for _ in range(3):
            await script.tells()
        await version(script)
        await eventually(lambda: api.feed.subscribers, what="the subscription watches")
    await eventually(lambda: not api.feed.subscribers, what="its subscription is let go")


async def version(script: Script) -> int:
    message = await script.tells()
    assert "codes" not in message, message
    return int(message["data"]["sagaEvents"]["version"])

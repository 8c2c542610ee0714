"""Open websockets whose owner's token ends or whose rights are taken away."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from app import auth, graphql_ws
from sagas.errors import RetryableError
from sagas.models import SagaStatus
from sagas.ports import AccessLevel
from schema import subscriptions
from tests.app.api import Api, saga_id
from tests.app.listening import Listener, listening
from tests.app.test_subscriptions import EVENTS, UPDATED
from tests.facade.scripted_server import ScriptedServer
from tests.identity import gateway as gw
from tests.support import eventually
from tests.world import COLLEAGUE, ENGINEER


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is checked every half minute or so is checked every moment."""
    monkeypatch.setattr(graphql_ws, "REAUTHENTICATE_S", 0.1)
    monkeypatch.setattr(subscriptions, "RECHECK_S", 0.1)
    monkeypatch.setattr(auth, "_CLOCK_SKEW", 0)


@pytest.fixture
async def server(api: Api) -> AsyncIterator[Listener]:
    async with listening(api.app) as made:
        yield made


@pytest.fixture
def keys() -> Iterator[ScriptedServer]:
    with gw.key_server(gw.published(gw.KEY, "k1")) as server:
        yield server


async def test_a_token_that_ends_ends_the_connection_with_the_code_that_brings_a_fresh_one(
    api: Api, server: Listener, keys: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = gw.gateway(keys)
    monkeypatch.setattr(api.tokens, "authenticate", gateway.authenticate)
    saga = await api.world.start()
    await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    old = gw.token(sub=str(ENGINEER.id), exp=int(time.time()) + 3)
    async with server.client(old) as peer:
        await peer.subscribe(UPDATED, saga=saga_id(saga))
        assert (await peer.next())["sagaUpdated"]["state"] == "AWAIT_USER_CONDENSER_INPUT"
        # 4403: graphql-ws's own client asks for its connectionParams again and comes back.
        assert await peer.close_code() == graphql_ws.FORBIDDEN
    fresh = gw.token(sub=str(ENGINEER.id))
    async with server.client(fresh) as peer:
        await peer.subscribe(UPDATED, saga=saga_id(saga))
        await peer.next()
    async with server.socket() as peer:
        await peer.send({"type": "connection_init", "payload": {"token": old}})
        assert await peer.close_code() == graphql_ws.FORBIDDEN


async def test_a_revoked_token_ends_the_connection_and_its_subscriptions(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    async with server.client("pavel") as peer:
        await peer.subscribe(EVENTS, saga=saga_id(saga), after=0)
        await peer.next()
        del api.tokens.users["pavel"]
        assert await peer.close_code() == graphql_ws.FORBIDDEN
    await eventually(lambda: not api.feed.subscribers, what="nobody watches any more")


@pytest.mark.parametrize("level", [AccessLevel.NONE, AccessLevel.GUEST])
@pytest.mark.parametrize(("query", "field"), [(EVENTS, "sagaEvents"), (UPDATED, "sagaUpdated")])
async def test_whoever_loses_access_is_told_so_even_while_nothing_happens(
    api: Api, server: Listener, level: AccessLevel, query: str, field: str
) -> None:
    saga = await api.world.start()
    now = await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    async with server.client("pavel") as peer:
        await peer.subscribe(query, saga=saga_id(saga), after=now.version - 1)
        assert (await peer.next())[field]["version"] == now.version
        api.world.access.set(COLLEAGUE, api.world.project.id, level)
        message = await peer.receive()
        assert message["type"] in {"next", "error"}
        payload = message["payload"]
        (error,) = payload["errors"] if isinstance(payload, dict) else payload
        assert error["extensions"]["code"] == "NOT_FOUND"
        await api.world.give(saga.id, "condenser")
        rest = []
        async with asyncio.timeout(30):
            while message["type"] not in {"complete", "error"}:
                message = await peer.receive()
                rest.append(message["type"])
        assert "next" not in rest, "nothing that happens later is told"


async def test_gitlab_being_away_takes_nobodys_subscription(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    now = await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    async with server.client("pavel") as peer:
        await peer.subscribe(EVENTS, saga=saga_id(saga), after=now.version)
        await eventually(lambda: api.feed.subscribers, what="the subscription watches")
        asked = len(api.world.access.asked)
        api.world.access.fail_next(RetryableError("GITLAB_UNAVAILABLE", "away"))
        await eventually(lambda: len(api.world.access.asked) > asked + 1, what="the right is asked for again")
        await api.world.give(saga.id, "condenser")
        assert (await peer.next())["sagaEvents"]["version"] == now.version + 1

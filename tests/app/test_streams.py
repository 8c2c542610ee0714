"""Subscriptions over plain HTTP: the same checks as over a websocket, and nobody is waited for in vain."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from app import graphql_http, graphql_stream
from app import server as server_module
from sagas.models import SagaStatus
from sagas.ports import AccessLevel
from schema import subscriptions
from schema.trusted import TrustedDocuments, manifest
from tests.app.api import Api, limit, saga_id, serving
from tests.app.listening import Listener, listening
from tests.app.test_subscriptions import EVENTS, UPDATED
from tests.support import eventually
from tests.world import COLLEAGUE, World

SSE, MULTIPART = "text/event-stream", "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json"
every_transport = pytest.mark.parametrize("accept", [SSE, MULTIPART], ids=["events", "multipart"])


@pytest.fixture
async def server(api: Api) -> AsyncIterator[Listener]:
    async with listening(api.app) as made:
        yield made


@asynccontextmanager
async def stream(
    server: Listener, accept: str, query: str, *, token: str = "irina", method: str = "POST", **variables: Any
) -> AsyncIterator[httpx.Response]:
    url = f"http://127.0.0.1:{server.port}/graphql"
    headers = {"Accept": accept, "Authorization": f"Bearer {token}"}
    request = (
        httpx.Request("POST", url, headers=headers, json={"query": query, "variables": variables})
        if method == "POST"
        else httpx.Request(method, url, headers=headers, params={"query": query, "variables": json.dumps(variables)})
    )
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        response = await http.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()


async def results(response: httpx.Response) -> AsyncIterator[Any]:
    """What the stream tells: results, and "complete" where it ends in order."""
    events = response.headers["content-type"].startswith(SSE)
    async for line in response.aiter_lines():
        if (events and line == "event: complete") or (not events and line.endswith("--graphql--")):
            yield "complete"
        if (events and line.startswith("data: ")) or (not events and line.startswith('{"payload')):
            told = json.loads(line.removeprefix("data: "))
            yield told if events else told["payload"]


@every_transport
async def test_events_come_each_once_and_the_stream_ends_with_the_saga(api: Api, server: Listener, accept: str) -> None:
    saga = await api.world.start()
    async with stream(server, accept, EVENTS, saga=saga_id(saga)) as response:
        assert response.headers["x-accel-buffering"] == "no"
        job = asyncio.create_task(api.world.run_through(saga.id))
        told = [result async for result in results(response)]
    done = await job
    assert [result["data"]["sagaEvents"]["version"] for result in told[:-1]] == list(range(1, done.version + 1))
    assert told[-1] == "complete"
    await eventually(lambda: not api.feed.subscribers, what="nothing is left of it")


@every_transport
async def test_a_stream_needs_a_preflight(api: Api, server: Listener, accept: str) -> None:
    """A page may send a GET or a form without asking; a POST of JSON it may not."""
    saga = await api.world.start()
    async with stream(server, accept, UPDATED, method="GET", saga=saga_id(saga)) as response:
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        assert json.loads(await response.aread())["errors"]
    asked = json.dumps({"query": UPDATED, "variables": {"saga": saga_id(saga)}})
    headers = {"Accept": accept, "Content-Type": "text/plain", "Authorization": "Bearer irina"}
    assert (await api.http.post("/graphql", content=asked, headers=headers)).status_code == 415
    assert not api.feed.subscribers


@pytest.mark.parametrize(
    "accept", ["application/json", "application/graphql-response+json, text/event-stream, multipart/mixed", "*/*"]
)
async def test_a_subscription_that_is_not_asked_for_as_a_stream_is_told_how(api: Api, accept: str) -> None:
    saga = await api.world.start()
    headers = {"Accept": accept, "Authorization": "Bearer irina"}
    asked = {"query": UPDATED, "variables": {"saga": saga_id(saga)}}
    response = await api.http.post("/graphql", json=asked, headers=headers)
    assert response.status_code == 406
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "text/event-stream" in error["message"]
    assert not api.feed.subscribers


@every_transport
@pytest.mark.parametrize(("token", "code"), [("nobody", "UNAUTHENTICATED"), ("pavel", "NOT_FOUND")])
async def test_whoever_may_not_see_is_refused_on_the_stream(
    api: Api, server: Listener, accept: str, token: str, code: str
) -> None:
    saga = await api.world.start()
    api.world.access.set(COLLEAGUE, api.world.project.id, AccessLevel.NONE)
    for query in (EVENTS, UPDATED):
        async with stream(server, accept, query, token=token, saga=saga_id(saga)) as response:
            refusal, end = [result async for result in results(response)]
        assert [error["extensions"]["code"] for error in refusal["errors"]] == [code]
        assert not refusal.get("data")
        assert end == "complete"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at now and then is looked at every moment."""
    monkeypatch.setattr(graphql_stream, "REAUTHENTICATE_S", 0.1)
    monkeypatch.setattr(graphql_stream, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(subscriptions, "RECHECK_S", 0.1)


@every_transport
async def test_a_token_that_is_no_longer_accepted_ends_the_stream_as_one_to_ask_for_again(
    api: Api, server: Listener, accept: str, impatient: None
) -> None:
    saga = await api.world.start()
    await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    async with stream(server, accept, UPDATED, token="pavel", saga=saga_id(saga)) as response:
        told = results(response)
        assert (await anext(told))["data"]
        del api.tokens.users["pavel"]
        last = [result async for result in told]
    assert [error["extensions"]["code"] for result in last for error in result["errors"]] == ["UNAUTHENTICATED"]
    await eventually(lambda: not api.feed.subscribers, what="its subscription is let go")


@every_transport
async def test_whoever_loses_access_hears_no_more(api: Api, server: Listener, accept: str, impatient: None) -> None:
    saga = await api.world.start()
    await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    async with stream(server, accept, UPDATED, token="pavel", saga=saga_id(saga)) as response:
        told = results(response)
        await anext(told)
        api.world.access.set(COLLEAGUE, api.world.project.id, AccessLevel.NONE)
        rest = [result async for result in told]
    assert [error["extensions"]["code"] for result in rest[:-1] for error in result["errors"]] == ["NOT_FOUND"]
    assert rest[-1] == "complete"


@every_transport
async def test_what_breaks_inside_is_masked(
    api: Api, server: Listener, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    saga = await api.world.start()

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("the password is swordfish")

    monkeypatch.setattr(graphql_http.Router, "process_result", broken)
    async with stream(server, accept, UPDATED, saga=saga_id(saga)) as response:
        told = [result async for result in results(response)]
    assert told[0]["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert "swordfish" not in json.dumps(told)


@every_transport
async def test_a_reader_that_never_reads_is_let_go_with_its_socket(
    api: Api, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphql_stream, "SEND_TIMEOUT_S", 0.5)
    monkeypatch.setattr(graphql_stream, "HEARTBEAT_S", 0)
    monkeypatch.setattr(server_module, "UNTAKEN_S", 1)
    for transport in (graphql_stream.EventStream, graphql_stream.MultipartStream):
        monkeypatch.setattr(transport, "heartbeat_message", lambda *_: f": {'x' * 100_000}\n\n")
    saga = await api.world.start()
    await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    async with listening(api.app) as server, stream(server, accept, UPDATED, saga=saga_id(saga)):
        await eventually(lambda: api.feed.subscribers, what="the subscription watches")
        await eventually(lambda: not api.feed.subscribers, timeout=30, what="the stuck stream is let go")
        connections = server.server.server_state.connections
        await eventually(lambda: not connections, timeout=30, what="the kernel ends its connection")


@every_transport
async def test_whoever_comes_when_too_many_are_connected_is_told_to_come_again(
    api: Api, server: Listener, accept: str
) -> None:
    saga = await api.world.start()
    limit(api, connections=1)
    async with stream(server, accept, UPDATED, saga=saga_id(saga)) as first:
        await anext(results(first))
        async with stream(server, accept, UPDATED, saga=saga_id(saga)) as second:
            assert (second.status_code, second.headers["retry-after"]) == (503, "5")
            assert json.loads(await second.aread())["errors"][0]["extensions"]["limit"] == "connections"
    await eventually(lambda: not api.feed.subscribers, what="the first is over")
    async with stream(server, accept, UPDATED, saga=saga_id(saga)) as third:
        assert third.status_code == 200


@every_transport
async def test_a_server_that_stops_breaks_its_streams_off_so_that_clients_come_again(api: Api, accept: str) -> None:
    saga = await api.world.start()
    async with listening(api.app) as server, stream(server, accept, UPDATED, saga=saga_id(saga)) as response:
        told = results(response)
        await anext(told)
        server.server.should_exit = True
        rest: list[Any] = []
        with pytest.raises(httpx.TransportError):
            rest.extend([result async for result in told])
        assert "complete" not in rest


@every_transport
async def test_in_strict_mode_a_stream_runs_trusted_documents_alone(world: World, accept: str) -> None:
    trusted = TrustedDocuments(manifest([EVENTS]), strict=True)
    async with serving(world, engine=False, trusted=trusted) as strict, listening(strict.app) as made:
        saga = await world.start()
        async with stream(made, accept, EVENTS, saga=saga_id(saga)) as response:
            assert (await anext(results(response)))["data"]["sagaEvents"]["version"] == 1
        async with stream(made, accept, UPDATED, saga=saga_id(saga)) as response:
            refused = (
                json.loads(await response.aread()) if response.status_code != 200 else await anext(results(response))
            )
        assert [error["extensions"]["code"] for error in refused["errors"]] == ["DOCUMENT_NOT_TRUSTED"]
        assert "data" not in refused or refused["data"] is None


async def test_a_client_that_asks_for_a_single_connection_is_told_that_each_operation_has_its_own(
    api: Api, server: Listener
) -> None:
    """graphql-sse lets a server do without its single connection mode; the reservation of a stream is a PUT."""
    async with httpx.AsyncClient(trust_env=False) as http:
        url, headers = f"http://127.0.0.1:{server.port}/graphql", {"Authorization": "Bearer irina"}
        answer = await http.put(url, headers=headers)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"

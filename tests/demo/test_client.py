"""The API's client: what it repeats, what it resumes, what it gives up."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from app.demo.client import ApiError, GraphQLClient, UnavailableError, retrying
from tests.support_emulator import free_port

EVENTS = "subscription Events($sagaId: ID!, $afterVersion: Int) { … }"
LAST = 6


class FakeStream:
    """A server of events 1 to 6 that breaks the connection after each `per_connection` of them."""

    def __init__(self, per_connection: int, *, repeats: int = 0, refusal: dict[str, Any] | None = None) -> None:
        self.per_connection, self.repeats, self.refusal = per_connection, repeats, refusal
        self.asked: list[int] = []
        self.headers: list[dict[str, Any]] = []

    async def __call__(self, socket: ServerConnection) -> None:
        self.headers.append(json.loads(await socket.recv())["payload"])
        await socket.send(json.dumps({"type": "connection_ack"}))
        after = json.loads(await socket.recv())["payload"]["variables"]["afterVersion"]
        self.asked.append(after)
        if self.refusal is not None:
            await socket.send(json.dumps({"id": "1", "type": "error", "payload": [self.refusal]}))
            return
        await socket.send(json.dumps({"type": "ping"}))
        assert json.loads(await socket.recv()) == {"type": "pong"}
        first = max(1, after + 1 - self.repeats)
        for version in range(first, min(after + self.per_connection, LAST) + 1):
            event = {"sagaEvents": {"version": version}}
            await socket.send(json.dumps({"id": "1", "type": "next", "payload": {"data": event}}))
        if after + self.per_connection < LAST:
            socket.transport.abort()
        else:
            await socket.send(json.dumps({"id": "1", "type": "complete"}))


@asynccontextmanager
async def client_of(stream: FakeStream, token: str | None = None) -> AsyncIterator[GraphQLClient]:
    async with serve(stream, "127.0.0.1", 0, subprotocols=[Subprotocol("graphql-transport-ws")]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with GraphQLClient(f"http://127.0.0.1:{port}/graphql", token, timeout=5) as client:
            yield client


async def versions(client: GraphQLClient, after: int = 0) -> list[int]:
    events = client.follow(EVENTS, {"sagaId": "x"}, patience=5, after_version=after)
    return [event["version"] async for event in events]


@pytest.mark.parametrize("per_connection", [1, 2, 5, 6])
async def test_each_event_comes_once_and_in_order_over_broken_connections(per_connection: int) -> None:
    stream = FakeStream(per_connection)
    async with client_of(stream) as client:
        assert await versions(client) == [1, 2, 3, 4, 5, 6]
    assert stream.asked == list(range(0, LAST, per_connection))


async def test_an_event_that_is_told_twice_is_taken_once() -> None:
    stream = FakeStream(2, repeats=1)
    async with client_of(stream) as client:
        assert await versions(client) == [1, 2, 3, 4, 5, 6]


async def test_following_may_begin_in_the_middle() -> None:
    async with client_of(FakeStream(6)) as client:
        assert await versions(client, after=4) == [5, 6]


async def test_the_token_goes_into_the_first_message() -> None:
    stream = FakeStream(6)
    async with client_of(stream, "secret") as client:
        await versions(client)
    assert stream.headers == [{"Authorization": "Bearer secret"}]


async def test_a_refusal_is_not_tried_again() -> None:
    refusal = {"message": "No such saga.", "extensions": {"code": "NOT_FOUND"}}
    stream = FakeStream(6, refusal=refusal)
    async with client_of(stream) as client:
        with pytest.raises(ApiError, match="NOT_FOUND: No such saga"):
            await versions(client)
    assert len(stream.asked) == 1


async def test_patience_ends() -> None:
    async with GraphQLClient(f"http://127.0.0.1:{free_port()}/graphql") as client:
        with pytest.raises(UnavailableError):
            async for _ in client.follow(EVENTS, {}, patience=0.5):
                pass
        with pytest.raises(UnavailableError, match="does not answer"):
            await retrying(lambda: client.execute("{ viewer { username } }"), patience=0.5)


def failing(times: int, error: Exception) -> Callable[[], Any]:
    """A question that fails so often before it is answered."""
    left = [error] * times

    async def ask() -> str:
        if left:
            raise left.pop()
        return "answer"

    return ask


async def test_what_is_away_is_asked_again_and_what_refuses_is_not() -> None:
    assert await retrying(failing(3, UnavailableError("away")), patience=10) == "answer"
    with pytest.raises(ApiError):
        await retrying(failing(1, ApiError("FORBIDDEN", "no")), patience=10)

"""graphql-transport-ws to its letter: close codes, pings, frames that are none, completes that race, overload."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, cast

import pytest
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from app import graphql_ws
from app import server as http_server
from app.auth import UnauthenticatedError
from app.patient_socket import PatientWebSocketAdapter
from sagas.models import SagaStatus
from sagas.ports import User
from tests.app.api import Api, limit, saga_id
from tests.app.listening import Listener, Peer, listening
from tests.app.test_subscriptions import EVENTS, UPDATED
from tests.support import eventually
from tests.world import ENGINEER

VIEWER = "{ viewer { username } }"
HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n"
)
INIT = {"type": "connection_init", "payload": {"token": "irina"}}


@pytest.fixture
async def server(api: Api) -> AsyncIterator[Listener]:
    async with listening(api.app) as made:
        yield made


class Gate:
    """An authenticator that takes its time."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.asked = 0

    async def authenticate(self, token: str | None) -> User:
        self.asked += 1
        if token is None:
            raise UnauthenticatedError("Send a token.")
        await self.open.wait()
        return ENGINEER


@pytest.fixture
def gate(api: Api, monkeypatch: pytest.MonkeyPatch) -> Gate:
    made = Gate()
    monkeypatch.setattr(api.tokens, "authenticate", made.authenticate)
    return made


@pytest.mark.parametrize("protocols", [["graphql-ws"], ["graphql-sse", "soap"], None])
async def test_another_subprotocol_than_graphql_transport_ws_is_not_acceptable(
    server: Listener, protocols: list[str] | None
) -> None:
    offered = None if protocols is None else [Subprotocol(name) for name in protocols]
    async with connect(f"ws://127.0.0.1:{server.port}/graphql", subprotocols=offered) as connection:
        assert connection.subprotocol is None
        assert await Peer(connection).close_code() == 4406


async def test_a_client_that_offers_the_legacy_protocol_too_gets_the_present_one(server: Listener) -> None:
    offered = [Subprotocol("graphql-ws"), Subprotocol("graphql-transport-ws")]
    async with connect(f"ws://127.0.0.1:{server.port}/graphql", subprotocols=offered) as connection:
        assert connection.subprotocol == "graphql-transport-ws"


async def test_a_handshake_that_does_not_come_is_waited_for_no_longer(
    server: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphql_ws, "INIT_TIMEOUT_S", 0.2)
    async with server.socket() as peer:
        await peer.send({"type": "ping"})
        assert await peer.receive() == {"type": "pong"}
        assert await peer.close_code() == graphql_ws.INIT_TIMED_OUT
    async with server.client() as peer:
        await peer.subscribe(VIEWER)
        await peer.next()


async def test_while_a_token_is_checked_pings_are_answered_and_operations_are_unauthorized(
    server: Listener, gate: Gate
) -> None:
    async with server.socket() as peer:
        await peer.send(INIT)
        await peer.send({"type": "ping", "payload": {"n": 1}})
        assert await peer.receive() == {"type": "pong", "payload": {"n": 1}}
        await peer.subscribe(VIEWER)
        assert await peer.close_code() == graphql_ws.UNAUTHORIZED


async def test_a_second_handshake_is_one_too_many_also_while_the_first_goes_on(server: Listener, gate: Gate) -> None:
    async with server.socket() as peer:
        await peer.send(INIT)
        await peer.send(INIT)
        assert await peer.close_code() == graphql_ws.TOO_MANY_INITS
    assert gate.asked == 2, "the header of the socket and the first message; the second message is not looked at"


async def test_pings_are_answered_with_what_came_and_pongs_with_nothing(server: Listener) -> None:
    async with server.client() as peer:
        await peer.send({"type": "pong"})
        await peer.send({"type": "pong", "payload": {"a": 1}})
        await peer.send({"type": "ping", "payload": None})
        assert await peer.receive() == {"type": "pong"}
        await peer.send({"type": "ping", "payload": {"a": [1, {"b": None}]}})
        assert await peer.receive() == {"type": "pong", "payload": {"a": [1, {"b": None}]}}


@pytest.mark.parametrize(
    ("send", "code"),
    [
        (lambda c: c.send(b'{"type":"ping"}'), 4400),
        (lambda c: c.send(json.dumps({"type": "complete", "id": "x" * 1_001})), 4400),
        (lambda c: c.send(json.dumps({"type": "ping", "payload": {"a": "x" * 3_000_000}})), 1009),
        (lambda c: c.send(["[" * 900_000, "[" * 900_000, "[" * 900_000]), 1009),
        (lambda c: _frame(c, Opcode.TEXT, b'{"type":"\xff\xfe"}'), 1007),
        (lambda c: _frame(c, Opcode.CONT, b"x"), 1002),
    ],
    ids=["binary", "long id", "too big", "too big in parts", "no UTF-8", "the middle of nothing"],
)
async def test_a_frame_that_is_none_of_the_protocol_closes_the_connection(
    server: Listener, send: Callable[[Any], Any], code: int
) -> None:
    async with server.client() as peer:
        with suppress(ConnectionClosed):
            await send(peer.connection)
        assert await peer.close_code() == code


async def test_a_small_frame_that_unpacks_into_a_huge_one_is_too_big(server: Listener) -> None:
    async with connect(
        f"ws://127.0.0.1:{server.port}/graphql", subprotocols=[Subprotocol("graphql-transport-ws")]
    ) as connection:
        with suppress(ConnectionClosed):
            await connection.send(" " * 50_000_000)
        assert await Peer(connection).close_code() == 1009


async def test_a_handshake_whose_head_is_not_taken_is_told_so_and_keeps_no_connection(server: Listener) -> None:
    post = HANDSHAKE.replace(b"GET", b"POST") + b"Content-Length: 5\r\n"
    for head in (HANDSHAKE + b"X: y\r\n" * 300, HANDSHAKE + b"X: " + b"y" * 10_000 + b"\r\n", post):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head + b"\r\n")
        async with asyncio.timeout(10):
            assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()
    await eventually(lambda: not server.server.server_state.connections, what="nothing is kept of them")


async def test_pings_whose_answers_nobody_reads_do_not_fill_the_memory(
    server: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphql_ws, "INIT_TIMEOUT_S", 300.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1_000)
    writer.write(HANDSHAKE + b"\r\n")
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    pings = Frame(Opcode.PING, b"x" * 125).serialize(mask=True, extensions=[]) * 2_000
    kept = 0
    for _ in range(60):
        writer.write(pings)
        await writer.drain()
        await asyncio.sleep(0)
        for connection in server.server.server_state.connections:
            kept = max(kept, connection.transport.get_write_buffer_size())
    writer.transport.abort()
    assert kept < 2_000_000, "one reading's answers and no more"


async def test_a_message_in_many_pieces_is_kept_as_one(server: Listener) -> None:
    async with server.socket() as peer:
        text = b'{"type":"ping","payload":{"in":"pieces"}}'
        pieces = [b"", *(text[at : at + 1] for at in range(len(text))), *[b""] * 5_000]
        for place, piece in enumerate(pieces):
            frame = Frame(Opcode.CONT if place else Opcode.TEXT, piece, fin=False)
            peer.connection.transport.write(frame.serialize(mask=True, extensions=[]))
        (connection,) = server.server.server_state.connections
        assert isinstance(connection, http_server.WebSocketConnection)
        # Answered once everything before it was read.
        await (await peer.connection.ping())
        assert connection.frames == []
        await _frame(peer.connection, Opcode.CONT, b"")
        assert await peer.receive() == {"type": "pong", "payload": {"in": "pieces"}}


async def test_nothing_is_kept_of_a_handshakes_payload_but_who_it_is(server: Listener) -> None:
    payload = {"token": "irina", "more": ["x"] * 100_000}
    async with server.socket() as peer:
        await peer.send({"type": "connection_init", "payload": payload})
        assert await peer.receive() == {"type": "connection_ack"}
        held = [one for one in gc.get_objects() if type(one) is list and len(one) == 100_000]
        assert held == [payload["more"]], "this test's own"


async def test_closing_what_broke_meanwhile_is_no_fault() -> None:
    async def broken(_message: object) -> None:
        raise OSError

    async def nothing() -> dict[str, str]:
        return {"type": "websocket.connect"}

    socket = WebSocket({"type": "websocket", "headers": []}, nothing, broken)
    await PatientWebSocketAdapter(cast("Any", None), socket, socket).close(4408, "too late")


async def _frame(connection: Any, opcode: Opcode, data: bytes) -> None:
    connection.transport.write(Frame(opcode, data).serialize(mask=True, extensions=[]))


async def test_an_id_is_free_again_as_soon_as_its_operation_is_over(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    async with server.client() as peer:
        await peer.send({"id": "1", "type": "complete"})
        for number in range(30):
            # Completes race with results: whatever comes must be of the newest operation or of one before.
            await peer.subscribe(UPDATED, saga=saga_id(saga))
            if number % 3 == 0:
                await asyncio.sleep(0)
            await peer.send({"id": "1", "type": "complete"})
        await peer.subscribe(VIEWER)
        while (message := await peer.receive())["type"] == "next" and "sagaUpdated" in message["payload"]["data"]:
            pass
        assert message["payload"] == {"data": {"viewer": {"username": "irina"}}}
        await peer.completed()
        await eventually(lambda: not api.feed.subscribers, what="every completed subscription is let go")
        await peer.subscribe(EVENTS, saga=saga_id(saga))
        await peer.next()


async def test_nothing_comes_after_a_complete_was_answered_by_a_pong(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    now = await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    async with server.client() as peer:
        await peer.subscribe(EVENTS, saga=saga_id(saga), after=now.version)
        await eventually(lambda: api.feed.subscribers, what="the subscription watches")
        await peer.send({"id": "1", "type": "complete"})
        await peer.send({"type": "ping"})
        assert await peer.receive() == {"type": "pong"}
        await api.world.give(saga.id, "condenser")
        await api.world.published(saga.id, "condenser")
        await peer.send({"type": "ping"})
        assert await peer.receive() == {"type": "pong"}, "no event of the completed subscription in between"


async def test_an_operation_that_breaks_inside_ends_alone_with_a_masked_error(
    api: Api, server: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    saga = await api.world.start()
    await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("the password is swordfish")

    async with server.client() as peer:
        await peer.subscribe(UPDATED, name="neighbour", saga=saga_id(saga))
        await peer.next(name="neighbour")
        with monkeypatch.context() as patch:
            patch.setattr(graphql_ws.WebSocketHandler, "_send_results", broken)
            await peer.subscribe(VIEWER, name="broken")
            message = await peer.receive()
        assert (message["type"], message["id"]) == ("error", "broken")
        assert message["payload"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
        assert "swordfish" not in json.dumps(message)
        await api.world.give(saga.id, "condenser")
        assert (await peer.next(name="neighbour"))["sagaUpdated"]["version"]
        await peer.subscribe(VIEWER, name="broken")
        while (message := await peer.receive())["id"] != "broken":
            pass
        assert message["payload"] == {"data": {"viewer": {"username": "irina"}}}, "its id is free again"


async def test_a_fault_of_ours_in_the_connection_itself_closes_it_with_4500(
    api: Api, server: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_token: str | None) -> User:
        raise ZeroDivisionError("the password is swordfish")

    async with server.socket() as at_init, server.client() as later:
        monkeypatch.setattr(api.tokens, "authenticate", broken)
        await at_init.send(INIT)
        assert await at_init.close_code() == graphql_ws.INTERNAL_ERROR
        assert "swordfish" not in (at_init.connection.close_reason or "")
        monkeypatch.setattr(graphql_ws, "fault_of", broken)
        monkeypatch.setattr(graphql_ws.WebSocketHandler, "handle_message", broken)
        await later.send({"type": "ping"})
        assert await later.close_code() == graphql_ws.INTERNAL_ERROR


async def test_whoever_comes_when_too_many_are_connected_is_told_to_come_again(api: Api, server: Listener) -> None:
    limit(api, connections=2)
    async with server.client() as first:
        async with server.client():
            async with server.socket() as third:
                assert await third.close_code() == graphql_ws.TRY_AGAIN_LATER
            await first.subscribe(VIEWER)
            await first.next()
            await first.completed()
        async with server.client() as fourth:
            await fourth.subscribe(VIEWER)
            await fourth.next()


async def test_a_vanished_peer_is_let_go_and_one_that_wakes_up_is_told_to_come_again(api: Api) -> None:
    assert http_server.PING_EVERY_S + http_server.PING_PATIENCE_S + http_server.LINGER_S < 60
    saga = await api.world.start()
    async with listening(api.app, ws_ping_interval=0.2, ws_ping_timeout=0.3) as server, server.client() as peer:
        await peer.subscribe(UPDATED, saga=saga_id(saga))
        await peer.next()
        peer.connection.transport.pause_reading()
        await eventually(lambda: not api.feed.subscribers, what="its subscription is let go")
        await eventually(lambda: not server.server.server_state.connections, what="its socket is let go")
        peer.connection.transport.resume_reading()
        # Not 1011, after which the reference client would not connect again.
        assert await peer.close_code() == graphql_ws.TRY_AGAIN_LATER

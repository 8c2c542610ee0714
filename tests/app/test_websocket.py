import json
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import InvalidStatus

from app import graphql_ws, patient_socket
from sagas.errors import RetryableError
from tests.app.api import Api, saga_id
from tests.app.listening import Listener, listening
from tests.app.test_subscriptions import UPDATED
from tests.support import eventually
from tests.world import ENGINEER

VIEWER = "{ viewer { username } }"


@pytest.fixture
async def server(api: Api) -> AsyncIterator[Listener]:
    async with listening(api.app) as made:
        yield made


@pytest.mark.parametrize(
    "payload", [{"Authorization": "Bearer irina"}, {"authorization": "Bearer irina"}, {"token": "irina"}]
)
async def test_the_token_comes_in_the_first_message(server: Listener, payload: dict[str, str]) -> None:
    async with server.socket() as peer:
        await peer.send({"type": "connection_init", "payload": payload})
        assert await peer.receive() == {"type": "connection_ack"}
        await peer.subscribe(VIEWER)
        assert await peer.next() == {"viewer": {"username": "irina"}}
        await peer.completed()


@pytest.mark.parametrize(
    "payload", [None, {}, {"Authorization": "Bearer nobody"}, {"Authorization": "Basic x"}, {"token": 5}]
)
async def test_whoever_is_not_known_is_turned_away_so_that_the_client_asks_for_a_fresh_token(
    server: Listener, payload: object
) -> None:
    async with server.socket() as peer:
        await peer.send({"type": "connection_init", "payload": payload})
        assert await peer.close_code() == graphql_ws.FORBIDDEN


async def test_while_tokens_cannot_be_checked_the_client_is_told_to_come_again(api: Api, server: Listener) -> None:
    async def away(_token: str | None) -> None:
        raise RetryableError("GITLAB_UNAVAILABLE", "GitLab does not answer.")

    api.tokens.authenticate = away  # type: ignore[method-assign, assignment]  # until the test ends
    async with server.socket() as peer:
        await peer.send({"type": "connection_init", "payload": {"token": "irina"}})
        assert await peer.close_code() == graphql_ws.TRY_AGAIN_LATER


async def test_an_operation_before_the_handshake_is_unauthorized(server: Listener) -> None:
    async with server.socket() as peer:
        await peer.subscribe(VIEWER)
        assert await peer.close_code() == graphql_ws.UNAUTHORIZED


@pytest.mark.parametrize(
    "message",
    [
        None,
        5,
        "x",
        [],
        {},
        {"type": 5},
        {"type": "dance"},
        {"type": ["subscribe"]},
        {"type": "subscribe"},
        {"type": "subscribe", "id": "1"},
        {"type": "subscribe", "id": "", "payload": {"query": VIEWER}},
        {"type": "subscribe", "id": {"a": 1}, "payload": {"query": VIEWER}},
        {"type": "subscribe", "id": "1", "payload": "x"},
        {"type": "subscribe", "id": "1", "payload": {"query": 5}},
        {"type": "subscribe", "id": "1", "payload": {"query": VIEWER, "variables": [1]}},
        {"type": "subscribe", "id": "1", "payload": {"query": VIEWER, "operationName": 1}},
        {"type": "complete", "id": [1]},
        {"type": "ping", "payload": 1},
        {"type": "x" * 500},
    ],
    ids=lambda message: json.dumps(message)[:40],
)
async def test_a_message_that_is_none_closes_with_4400(server: Listener, message: object) -> None:
    async with server.client() as peer:
        await peer.send(message)
        assert await peer.close_code() == graphql_ws.MALFORMED


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"type": NaN}'])
async def test_text_that_is_not_json_closes_with_4400(server: Listener, text: str) -> None:
    async with server.client() as peer:
        await peer.connection.send(text)
        assert await peer.close_code() == graphql_ws.MALFORMED


async def test_a_second_handshake_and_a_double_id_have_their_codes(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    async with server.client() as peer:
        await peer.send({"type": "connection_init"})
        assert await peer.close_code() == 4429
    async with server.client() as peer:
        await peer.subscribe(UPDATED, saga=saga_id(saga))
        await peer.next()
        await peer.subscribe(UPDATED, saga=saga_id(saga))
        assert await peer.close_code() == 4409


@pytest.mark.parametrize(
    ("query", "code"),
    [("{ viewer {", "GRAPHQL_PARSE_FAILED"), ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"), ("", "BAD_USER_INPUT")],
)
async def test_a_wrong_operation_ends_alone_each_time(api: Api, server: Listener, query: str, code: str) -> None:
    saga = await api.world.start()
    async with server.client() as peer:
        await peer.subscribe(UPDATED, name="live", saga=saga_id(saga))
        await peer.next(name="live")
        for _ in range(2):
            await peer.subscribe(query, name="wrong")
            while (message := await peer.receive())["id"] == "live":
                pass
            assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", code)
        assert api.feed.subscribers, "the other subscription lives"


async def test_a_second_query_on_a_socket_sees_what_changed_since_the_first(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    query = "query ($id: ID!) { saga(id: $id) { version } }"
    async with server.client() as peer:
        await peer.subscribe(query, id=saga_id(saga))
        first = (await peer.next())["saga"]["version"]
        await peer.completed()
        await api.world.run_through(saga.id)
        await peer.subscribe(query, id=saga_id(saga))
        assert (await peer.next())["saga"]["version"] > first


async def test_a_page_of_another_origin_may_not_connect(server: Listener) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with server.socket(origin="https://evil.example"):
            pass
    assert refused.value.response.status_code == 403
    async with server.socket(origin=f"http://127.0.0.1:{server.port}") as peer:
        await peer.send({"type": "connection_init", "payload": {"token": "irina"}})
        assert await peer.receive() == {"type": "connection_ack"}


async def test_a_token_that_is_no_longer_accepted_ends_the_connection(
    api: Api, server: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphql_ws, "REAUTHENTICATE_S", 0.05)
    async with server.client() as peer:
        await peer.subscribe(VIEWER)
        assert await peer.next() == {"viewer": {"username": "irina"}}
        del api.tokens.users["irina"]
        assert await peer.close_code() == graphql_ws.FORBIDDEN
    api.tokens.users["irina"] = ENGINEER


# graphql-core makes a level's coroutines before it awaits them: cancelled in between, it leaves them unawaited.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_reader_that_never_reads_is_let_go(api: Api, server: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_socket, "SEND_TIMEOUT_S", 0.3)
    saga = await api.world.start()
    async with server.client() as peer:
        peer.connection.transport.pause_reading()
        big = (
            "subscription ($saga: ID!) { sagaUpdated(sagaId: $saga) { "
            + " ".join(f"a{i}: definition {{ diagram }}" for i in range(90))
            + " } }"
        )
        for number in range(40):
            await peer.subscribe(big, name=str(number), saga=saga_id(saga))
        await eventually(lambda: api.feed.subscribers, what="the subscriptions began")
        await eventually(lambda: not api.feed.subscribers, timeout=20, what="the stuck connection is let go")
        await eventually(lambda: not server.server.server_state.connections, timeout=20, what="its socket goes as well")
        peer.connection.transport.abort()


async def test_a_server_that_stops_tells_its_clients_to_come_again(api: Api) -> None:
    async with listening(api.app) as server, server.client() as peer:
        server.server.should_exit = True
        assert await peer.close_code() == 1012

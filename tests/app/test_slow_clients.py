"""Clients that send without end, or without ever coming to one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from app import bounded_http
from tests.app.api import Api
from tests.app.listening import Listener, listening
from tests.support import eventually

HEAD = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GOOD = b'{"query": "{ viewer { username } }"}'


@pytest.fixture
async def server(api: Api) -> AsyncIterator[Listener]:
    async with listening(api.app) as made:
        yield made


@asynccontextmanager
async def connected(server: Listener) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def everything(reader: asyncio.StreamReader) -> bytes:
    """What the server says until it closes the connection."""
    async with asyncio.timeout(30):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("begin", [b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
async def test_a_head_without_end_is_cut_off_before_it_fills_the_memory(server: Listener, begin: bytes) -> None:
    more, sent = (b"x: y\r\n" * 1000 if begin.endswith(b"\r\n") else b"x" * 6000), 0
    async with connected(server) as (_, writer):
        with suppress(OSError):
            writer.write(begin)
            while sent < 50_000_000:
                writer.write(more)
                sent += len(more)
                await writer.drain()
    assert sent < 20_000_000, "the sockets' own buffers and no more"


async def test_a_head_just_below_the_limit_is_read_and_one_above_is_told_so(server: Listener) -> None:
    for length, status in ((60_000, b"HTTP/1.1 200"), (70_000, b"HTTP/1.1 431")):
        async with connected(server) as (reader, writer):
            writer.write(HEAD + b"Authorization: Bearer irina\r\nConnection: close\r\nX: " + b"x" * length)
            await writer.drain()
            # In a piece of its own, so that what came before had to be kept.
            await asyncio.sleep(0.2)
            if length < bounded_http.LONGEST_HEAD:
                writer.write(b"\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD)
            assert (await everything(reader)).startswith(status)


@pytest.mark.parametrize("sent", [b"", HEAD[:20], HEAD, HEAD + b"Content-Length: 1000\r\n\r\n{"])
async def test_a_request_that_never_comes_to_its_end_loses_its_connection(
    server: Listener, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_PATIENCE_S", 0.2)
    monkeypatch.setattr(bounded_http, "BODY_PATIENCE_S", 0.2)
    async with connected(server) as (reader, writer):
        writer.write(sent)
        assert b"200 OK" not in await everything(reader)
    await eventually(lambda: not server.server.server_state.connections, what="nothing is kept of it")


async def test_whoever_waits_for_an_answer_or_listens_keeps_his_connection(
    server: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_PATIENCE_S", 1.0)
    monkeypatch.setattr(bounded_http, "BODY_PATIENCE_S", 1.0)
    async with server.client() as peer:
        async with connected(server) as (reader, writer):
            for _ in range(3):
                writer.write(HEAD + b"Authorization: Bearer irina\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD)
                async with asyncio.timeout(30):
                    await reader.readuntil(b'"irina"}}}')
                await asyncio.sleep(0.1)
        await asyncio.sleep(1.2)  # longer than anybody has patience with a request
        await peer.subscribe("{ viewer { username } }")
        assert (await peer.next())["viewer"]["username"] == "irina"


async def test_whoever_goes_in_mid_body_leaves_no_fault_in_the_log(
    server: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    for head in (
        HEAD,
        HEAD.replace(b"/graphql", b"/saga/calculate-balance"),
        HEAD.replace(b"/graphql", b"/webhooks/gitlab"),
    ):
        async with connected(server) as (_, writer):
            writer.write(head + b"Content-Length: 1000\r\n\r\n{")
            await writer.drain()
            await eventually(lambda: server.server.server_state.tasks, what="the request is being read")
        await eventually(lambda: not server.server.server_state.tasks, what="it is let go")
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_fields_after_a_body_are_cut_off_before_they_fill_the_memory(server: Listener) -> None:
    more, sent = b"x: " + b"y" * 6000 + b"\r\n", 0
    async with connected(server) as (_, writer):
        with suppress(OSError):
            writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
            while sent < 50_000_000:
                writer.write(more)
                sent += len(more)
                await writer.drain()
    assert sent < 20_000_000, "the sockets' own buffers and no more"


async def test_fields_after_a_body_do_not_pass_for_those_of_the_head(server: Listener) -> None:
    async with connected(server) as (reader, writer):
        body = b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\n%s\r\n0\r\n" % (len(GOOD), GOOD)
        writer.write(HEAD + body + b"Authorization: Bearer irina\r\n\r\n")
        assert b"UNAUTHENTICATED" in await everything(reader)


async def test_a_long_body_in_pieces_of_any_size_is_read(server: Listener) -> None:
    padded = GOOD + b" " * 500_000
    pieces = [padded[at : at + 7_000] for at in range(0, len(padded), 7_000)]
    async with connected(server) as (reader, writer):
        writer.write(HEAD + b"Authorization: Bearer irina\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        for piece in pieces:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        assert b'"irina"' in await everything(reader)

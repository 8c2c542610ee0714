import asyncio
import socket
from typing import cast

from starlette.types import Receive, Scope, Send

from app.server import Server, server_config
from app.together import Together
from tests.support import eventually


class Wire:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def writelines(self, parts: list[bytes]) -> None:
        assert not self.closed
        self.sent.append(b"".join(parts))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> str:
        return name


def together(wire: Wire) -> Together:
    return Together(cast("asyncio.Transport", wire), asyncio.get_running_loop())


async def test_what_one_turn_writes_is_sent_at_once_and_in_order() -> None:
    wire = Wire()
    transport = together(wire)
    for part in (b"head ", b"body"):
        transport.write(part)
    assert wire.sent == []
    await asyncio.sleep(0)
    assert wire.sent == [b"head body"]
    transport.write(b"more")
    await asyncio.sleep(0)
    assert wire.sent == [b"head body", b"more"]
    assert transport.get_extra_info("peername") == "peername"


async def test_closing_loses_nothing_and_afterwards_nothing_is_sent() -> None:
    wire = Wire()
    transport = together(wire)
    transport.write(b"the last")
    transport.close()
    assert (wire.sent, wire.closed) == ([b"the last"], True)
    transport.write(b"too late")
    await asyncio.sleep(0)
    assert wire.sent == [b"the last"]


async def test_an_answer_reaches_its_reader_in_one_piece() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"body"})

    server = Server(server_config(app, lifespan="off"))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server._serve([listening]))
        await eventually(lambda: server.started, what="the server listens")
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        for _ in range(20):
            writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = await reader.read(65_536)
            assert answer.startswith(b"HTTP/1.1 200")
            assert answer.endswith(b"\r\n\r\nbody")
        writer.close()
        server.should_exit = True
        await serving

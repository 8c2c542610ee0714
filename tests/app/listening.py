"""The service on a real port, and a client that speaks graphql-transport-ws message by message."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from app.server import Server, server_config
from tests.support import eventually

PROTOCOL = Subprotocol("graphql-transport-ws")
PATIENCE = 10.0


@asynccontextmanager
async def listening(app: FastAPI, **given: Any) -> AsyncIterator["Listener"]:
    """The app, whose lifespan has begun already, on a free port of loopback; `given` are uvicorn's settings."""
    server = Server(server_config(app, lifespan="off", timeout_graceful_shutdown=2, **given))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
        task = asyncio.create_task(server._serve([bound]))
        await eventually(lambda: server.started, what="the server listens")
        try:
            yield Listener(port, server)
        finally:
            server.should_exit = True
            await task


class Listener:
    """Where the service listens."""

    def __init__(self, port: int, server: uvicorn.Server) -> None:
        self.port = port
        self.server = server

    @asynccontextmanager
    async def socket(self, *, origin: str | None = None) -> AsyncIterator["Peer"]:
        """A websocket before its handshake."""
        async with connect(
            f"ws://127.0.0.1:{self.port}/graphql",
            subprotocols=[PROTOCOL],
            compression=None,
            origin=None if origin is None else Origin(origin),
        ) as connection:
            yield Peer(connection)

    @asynccontextmanager
    async def client(self, token: str = "irina") -> AsyncIterator["Peer"]:
        """A websocket after its handshake."""
        async with self.socket() as peer:
            await peer.send({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
            assert await peer.receive() == {"type": "connection_ack"}
            yield peer


class Peer:
    """One connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: object) -> None:
        await self.connection.send(json.dumps(message))

    async def receive(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            return json.loads(await self.connection.recv())

    async def subscribe(self, query: str, *, name: str = "1", **variables: Any) -> None:
        await self.send({"id": name, "type": "subscribe", "payload": {"query": query, "variables": variables}})

    async def next(self, *, name: str = "1") -> Any:
        """The data of the next result, which must be one."""
        message = await self.receive()
        assert (message["type"], message["id"]) == ("next", name), message
        assert "errors" not in message["payload"], message
        return message["payload"]["data"]

    async def error(self, *, name: str = "1") -> dict[str, Any]:
        """The extensions of the error that ends the operation."""
        message = await self.receive()
        assert (message["type"], message["id"]) == ("error", name), message
        extensions: dict[str, Any] = message["payload"][0]["extensions"]
        return extensions

    async def completed(self, *, name: str = "1") -> None:
        assert await self.receive() == {"type": "complete", "id": name}

    async def close_code(self) -> int:
        """The code that the server closes with; whatever comes before is dropped."""
        with suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE):
                while True:
                    await self.connection.recv()
        assert self.connection.close_code is not None
        return self.connection.close_code

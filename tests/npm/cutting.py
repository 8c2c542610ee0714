"""A network that cuts connections: a TCP proxy that resets each one somewhere in what the server says."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Cutting:
    """Forwards to a port until it has let `least` to `most` bytes of the server's through, then resets the connection."""

    def __init__(self, port: int, chance: random.Random, least: int, most: int) -> None:
        self._target = port
        self._chance = chance
        self._range = (least, most)
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.cuts = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Cutting"]:
        """Listen on a free port of loopback."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream = None
        try:
            incoming, upstream = await asyncio.open_connection("127.0.0.1", self._target)
            up = asyncio.create_task(_forward(reader, upstream))
            try:
                await self._down(incoming, writer)
            finally:
                up.cancel()
        except OSError:
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()
            if upstream is not None:
                upstream.transport.abort()

    async def _down(self, incoming: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self._chance.randint(*self._range)
        while chunk := await incoming.read(65_536):
            writer.write(chunk[:left])
            await writer.drain()
            left -= len(chunk)
            if left <= 0:
                self.cuts += 1
                return


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()

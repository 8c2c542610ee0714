"""A thousand websocket readers in one process: no more of RFC 6455 than counting a server's frames needs.

A client library would cost more per message than the server that is measured.
"""

import asyncio
import base64
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

_TEXT, _CLOSE = 0x1, 0x8


@dataclass
class Told:
    """What all readers together were told: arrival (seconds since the epoch) and text of each message."""

    messages: list[tuple[float, bytes]] = field(default_factory=list)
    _reached: asyncio.Event = field(default_factory=asyncio.Event)
    _awaited: int = 0

    def hear(self, arrived: float, text: bytes) -> None:
        self.messages.append((arrived, text))
        if self._awaited and len(self.messages) >= self._awaited:
            self._reached.set()

    async def reach(self, count: int, patience: float) -> None:
        """Wait until so many came in all; gives up after `patience` seconds, and the count tells."""
        self._awaited = count
        self._reached.clear()
        if len(self.messages) < count:
            try:
                async with asyncio.timeout(patience):
                    await self._reached.wait()
            except TimeoutError:
                return

    def clear(self) -> None:
        self.messages.clear()
        self._awaited = 0


class Reader(asyncio.Protocol):
    """One websocket: says what it has to say, then only listens."""

    def __init__(self, path: str, says: Sequence[object], told: Told) -> None:
        self._path, self._says, self._told = path, says, told
        self._buffer = bytearray()
        self._upgraded = False
        self.transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        arrived = time.time()
        self._buffer += data
        if not self._upgraded:
            head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.partition(b"\r\n")[0]:
                raise AssertionError(head)
            self._upgraded, self._buffer = True, bytearray(rest)
            for message in self._says:
                self._send(json.dumps(message).encode())
        self._take_frames(arrived)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def _take_frames(self, arrived: float) -> None:
        at, buffer = 0, self._buffer
        while len(buffer) >= at + 2:
            length, head = buffer[at + 1], 2
            if length >= 126:
                wide = 2 if length == 126 else 8
                head += wide
                length = int.from_bytes(buffer[at + 2 : at + 2 + wide])
            if len(buffer) < at + head + length:
                break
            kind = buffer[at] & 0x0F
            text = bytes(buffer[at + head : at + head + length])
            at += head + length
            if kind == _TEXT and b'"next"' in text[:200]:
                self._told.hear(arrived, text)
            elif kind == _CLOSE and self.transport is not None:
                self.transport.close()
        del buffer[:at]

    def _send(self, text: bytes) -> None:
        # A mask of zeros is a mask, and leaves the text as it is.
        assert self.transport is not None
        size = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0xFE]) + len(text).to_bytes(2)
        self.transport.write(bytes([0x81]) + size + bytes(4) + text)


async def connect(port: int, path: str, says: Sequence[object], told: Told) -> Reader:
    """One reader of a server on loopback."""
    _, reader = await asyncio.get_running_loop().create_connection(lambda: Reader(path, says, told), "127.0.0.1", port)
    return reader


async def disconnect(readers: Sequence[Reader]) -> None:
    """Hang up, all of them."""
    for reader in readers:
        if reader.transport is not None:
            reader.transport.abort()
    await asyncio.gather(*(reader.ended for reader in readers))

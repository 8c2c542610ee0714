"""A transport that sends together what is written together: Uvicorn writes an answer's head and its body one by one.

Each write would be a call of the kernel and a packet of its own, which cost an answer more than its JSON does.
"""

import asyncio
from typing import Any


class Together:
    """Goes around a transport; what one turn of the event loop writes is sent at the end of that turn."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.transport, self._loop = transport, loop
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send soon."""
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def close(self) -> None:
        """Close the transport once everything is sent."""
        self._send()
        self.transport.close()

    def _send(self) -> None:
        written, self._written = self._written, []
        # Of a broken connection nobody reads any more; asyncio would log each attempt.
        if written and not self.transport.is_closing():
            self.transport.writelines(written)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

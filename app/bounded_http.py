"""Uvicorn's HTTP protocol with an end to patience: it takes heads of any length, and waits for them for ever.

One connection could fill the memory with headers, or with the fields that may follow a body, and a few hundred that
never finish a request would hold theirs for good. Bodies have a limit of their own, see `app.web`.
"""

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.together import Together

LONGEST_HEAD = 65_536
"""Bytes of request line and headers; what is read at once may pass it, what must be kept may not."""
HEAD_PATIENCE_S = 10.0
BODY_PATIENCE_S = 60.0

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 30\r\nconnection: close\r\n\r\nThe request's head is too long"
)


class BoundedHttp(HttpToolsProtocol):
    """One connection: a request's head has a length and a deadline, its body a deadline."""

    _kept = 0
    """Bytes of a head that is not complete, or that came since the last of a body."""
    _in_head = True
    _went_on = False
    """Whether what was read last completed a head, or had some of a body in it."""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as Uvicorn has it
        """Wait for the first head."""
        super().connection_made(cast("asyncio.Transport", Together(transport, self.loop)))
        self._expect_within(HEAD_PATIENCE_S)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head, or what follows a body, has grown too long."""
        self._went_on = False
        super().data_received(data)
        self._kept = 0 if self._went_on else self._kept + len(data)
        if self._kept <= LONGEST_HEAD or self.transport.is_closing():
            return
        if self._in_head:
            self.transport.write(_TOO_LARGE)
        self.transport.close()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head, self._kept = True, 0
        self._expect_within(HEAD_PATIENCE_S)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head; those that follow a body are nobody's, and least of all may they pass for the head's."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._in_head, self._went_on = False, True
        self._expect_within(BODY_PATIENCE_S)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._went_on = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete; how long its answer takes is not the client's doing."""
        self._expect_nothing()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """From here on the connection is the websocket protocol's."""
        self._expect_nothing()
        if isinstance(self.transport, Together):
            self.transport = self.transport.transport
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self._expect_nothing()
        super().connection_lost(exc)

    def _expect_within(self, seconds: float) -> None:
        self._expect_nothing()
        self._deadline = self.loop.call_later(seconds, self.transport.close)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

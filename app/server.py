"""The HTTP server that carries the service: uvicorn, with what live connections need set here and nowhere else.

A websocket whose peer has vanished is let go within `PING_EVERY_S + PING_PATIENCE_S`; one whose peer stays but does not
read is ended by the application (`app.graphql_ws`), and here its socket goes with it.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from app.bounded_http import BoundedHttp
from schema.limits import SHIPPED

PING_EVERY_S = 20.0
PING_PATIENCE_S = 20.0
UNTAKEN_S = 20.0
"""How long the kernel keeps a connection whose peer takes nothing; streams send a heartbeat each 10 s."""
LINGER_S = 1.0
"""How long what is still unsent may take once a connection has ended."""
_TRY_AGAIN_LATER = 1013


_UNREADABLE = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 87\r\nconnection: close\r\n\r\n"
    b"The handshake cannot be read: it has a body, or its head has too many or too long lines"
)


class WebSocketConnection(WebSocketsSansIOProtocol):
    """uvicorn's; it lets go of peers that do not listen any more, and tells them that they may come again.

    And it keeps no more of a peer than its messages' length: uvicorn would queue an answer to each ping, read or not, and
    an entry for each fragment, empty or not.
    """

    _begun: bytearray
    """The message that is not complete; only a beginning makes one, so that no two connections ever share it."""

    def data_received(self, data: bytes) -> None:
        """Read on; the head of a handshake is all there at the first call."""
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            # The library takes fewer and shorter headers than the HTTP protocol before it, and would say nothing.
            self.transport.write(_UNREADABLE)
            self.transport.close()

    def handle_ping(self) -> None:
        """Answer, unless the peer has not yet taken the answers before: then the protocol lets one be left out."""
        answer = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(answer)

    def handle_text(self, event: Frame) -> None:
        """A text, or its beginning."""
        super().handle_text(event)
        if not event.fin:
            self._begin(event)

    def handle_bytes(self, event: Frame) -> None:
        """Bytes, or their beginning."""
        super().handle_bytes(event)
        if not event.fin:
            self._begin(event)

    def handle_cont(self, event: Frame) -> None:
        """More of a message, which stays one piece."""
        self._begun += event.data
        if event.fin:
            self.frames, self._begun = [bytes(self._begun)], bytearray()
            self.send_receive_event_to_app()

    def _begin(self, event: Frame) -> None:
        self.frames, self._begun = [], bytearray(event.data)

    def keepalive_timeout(self) -> None:
        """The peer has not answered a ping: asleep, or gone."""
        self.pong_timer = None
        self.pending_ping_payload = None
        if not self.close_sent and not self.transport.is_closing():
            # uvicorn says 1011, which the reference client takes for the end: a laptop that wakes up would stay silent.
            self.conn.fail(_TRY_AGAIN_LATER, "No answer to a ping")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.transport.close()
        self._let_go_soon()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The application is done with the connection."""
        super().on_task_complete(task)
        self._let_go_soon()

    def _let_go_soon(self) -> None:
        # A closed transport stays for ever while its peer does not take the last bytes.
        self.loop.call_later(LINGER_S, self.transport.abort)


class Server(uvicorn.Server):
    """uvicorn's server; `tell` is called once it listens."""

    def __init__(self, config: uvicorn.Config, tell: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._tell = tell

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        for server in self.servers:
            for listener in server.sockets:
                _end_what_is_not_taken(listener.fileno())
        if self.started:
            self._tell()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop. Streams would never end by themselves; clients take a broken one for a reason to come again."""
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle is not None and cycle.response_started and not cycle.response_complete:
                connection.transport.abort()
        await super().shutdown(sockets)


def _end_what_is_not_taken(descriptor: int) -> None:
    """Have the kernel end connections whose peer takes nothing of what was sent; accepted sockets inherit it."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    # uvloop's sockets have no options: a twin of it has.
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        if option is not None and listener.family in {socket.AF_INET, socket.AF_INET6}:
            listener.setsockopt(socket.IPPROTO_TCP, option, int(UNTAKEN_S * 1000))


def server_config(app: ASGIApp, **given: Any) -> uvicorn.Config:
    """Uvicorn's settings; `given` are those that differ from place to place, such as host and port."""
    return uvicorn.Config(
        app,
        **{
            "log_config": None,
            "access_log": False,
            "server_header": False,
            "http": BoundedHttp,
            "ws": WebSocketConnection,
            "ws_max_size": SHIPPED.body,
            # Messages are small and go to many: compressing each for each would cost more than it saves.
            "ws_per_message_deflate": False,
            "ws_ping_interval": PING_EVERY_S,
            "ws_ping_timeout": PING_PATIENCE_S,
            "timeout_graceful_shutdown": 5,
            **given,
        },
    )

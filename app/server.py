"""The HTTP server that carries the service: uvicorn, with what live connections need set here and nowhere else.

A websocket whose peer has vanished is let go within `PING_EVERY_S + PING_PATIENCE_S`; one whose peer stays but does not
read is ended by the application (`app.graphql_ws`), and here its socket goes with it.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.bounded_http import BoundedHttp
from schema.limits import SHIPPED

PING_EVERY_S = 20.0
PING_PATIENCE_S = 20.0
LINGER_S = 1.0
"""How long what is still unsent may take once a connection has ended."""
_TRY_AGAIN_LATER = 1013


class WebSocketConnection(WebSocketsSansIOProtocol):
    """uvicorn's; it lets go of peers that do not listen any more, and tells them that they may come again."""

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
        if self.started:
            self._tell()


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

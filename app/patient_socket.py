"""A websocket that does not wait for ever: what is not taken in time ends the connection."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.async_base_view import AsyncBaseHTTPView
from strawberry.http.exceptions import WebSocketDisconnected

SEND_TIMEOUT_S = 5.0
LONGEST_REASON = 123
"""Bytes: a websocket's close frame has no room for more."""


class PatientWebSocketAdapter(ASGIWebSocketAdapter):
    """Sends with a time-out: a peer that keeps its socket open but never reads is let go."""

    def __init__(
        self, view: AsyncBaseHTTPView[Any, Any, Any, Any, Any, Any, Any], request: WebSocket, response: WebSocket
    ) -> None:
        super().__init__(view, request, response)
        self._stuck = asyncio.Event()

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send, or give the whole connection up."""
        text = self.view.encode_json(message)
        await self.send_text(text if isinstance(text, str) else text.decode())

    async def send_text(self, text: str) -> None:
        """Like `send_json`, for a message that is text already."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self.ws.send_text(text)
        except (WebSocketDisconnect, TimeoutError, RuntimeError, OSError) as failure:
            # RuntimeError: the server's word for a socket that was closed in the meantime.
            self._stuck.set()
            raise WebSocketDisconnected from failure

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:
        """The messages, until either side is gone."""
        messages = super().iter_json(ignore_parsing_errors=ignore_parsing_errors)
        stuck = asyncio.create_task(self._stuck.wait())
        try:
            while True:
                incoming = asyncio.ensure_future(anext(messages))
                await asyncio.wait({incoming, stuck}, return_when=asyncio.FIRST_COMPLETED)
                if not incoming.done():
                    incoming.cancel()
                    with suppress(asyncio.CancelledError, StopAsyncIteration):
                        await incoming
                    return
                try:
                    message = incoming.result()
                except StopAsyncIteration:
                    return
                yield message
        finally:
            stuck.cancel()

    async def close(self, code: int, reason: str) -> None:
        """Close with a reason that fits into the frame; closing what is closed is nothing."""
        fitting = reason.encode()[:LONGEST_REASON].decode(errors="ignore")
        with suppress(RuntimeError, OSError, TimeoutError):
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await super().close(code, fitting)

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
        self._clock = _SendClock()

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send, or give the whole connection up."""
        text = self.view.encode_json(message)
        await self.send_text(text if isinstance(text, str) else text.decode())

    async def send_text(self, text: str) -> None:
        """Like `send_json`, for a message that is text already."""
        try:
            with self._clock:
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


class _SendClock:
    """`asyncio.timeout` for sends, with one timer for all of a connection's: nearly all of them end at once."""

    def __init__(self) -> None:
        self._since: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._since[_current_task()] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(SEND_TIMEOUT_S, self._look)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        task = _current_task()
        del self._since[task]
        if task in self._late:
            self._late.discard(task)
            # Someone else's cancellation that came meanwhile still stands.
            if task.uncancel() == 0 and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _look(self) -> None:
        self._timer = None
        if not self._since:
            return
        loop = asyncio.get_running_loop()
        for task, since in self._since.items():
            if loop.time() - since >= SEND_TIMEOUT_S and task not in self._late:
                self._late.add(task)
                task.cancel()
        oldest = min((since for task, since in self._since.items() if task not in self._late), default=None)
        if oldest is not None:
            self._timer = loop.call_at(oldest + SEND_TIMEOUT_S, self._look)


def _current_task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    if task is None:
        raise AssertionError("sends happen within tasks")
    return task

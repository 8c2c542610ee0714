"""A websocket that does not wait for ever: what is not taken in time ends the connection."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from starlette.websockets import WebSocket, WebSocketDisconnect
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.async_base_view import AsyncBaseHTTPView
from strawberry.http.exceptions import WebSocketDisconnected

SEND_TIMEOUT_S = 5.0
"""After which a send is given up at the latest; after half of it at the earliest."""
LONGEST_REASON = 123
"""Bytes: a websocket's close frame has no room for more."""


class PatientWebSocketAdapter(ASGIWebSocketAdapter):
    """Sends with a time-out: a peer that keeps its socket open but never reads is let go."""

    def __init__(
        self, view: AsyncBaseHTTPView[Any, Any, Any, Any, Any, Any, Any], request: WebSocket, response: WebSocket
    ) -> None:
        super().__init__(view, request, response)
        self._stuck = asyncio.Event()
        self._watch = _SendWatch()

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send, or give the whole connection up."""
        text = self.view.encode_json(message)
        await self.sender().send(text if isinstance(text, str) else text.decode())

    def sender(self) -> "Sender":
        """For messages of the current task that are text already."""
        return Sender(self.ws, self._watch, self._stuck)

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
        with suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await super().close(code, fitting)


class Sender:
    """What one task sends over a connection. Nearly every send ends at once, so there is little that each may cost."""

    def __init__(self, socket: WebSocket, watch: "_SendWatch", stuck: asyncio.Event) -> None:
        self._socket = socket
        self._watch = watch
        self._stuck = stuck
        self.task = _current_task()
        self.number = 0
        self.seen = 0
        """The number of the send that was under way at the last look."""
        self.late = False

    async def send(self, text: str) -> None:
        """Send, or give the whole connection up."""
        self.number += 1
        self._watch.begin(self)
        try:
            await self._socket.send_text(text)
        except asyncio.CancelledError as ended:
            # Someone else's cancellation that came meanwhile still stands.
            if not self.late or self.task.uncancel() > 0:
                raise
            self._give_up(ended)
        except (WebSocketDisconnect, RuntimeError, OSError) as failure:
            # RuntimeError: the server's word for a socket that was closed in the meantime.
            self._give_up(failure)
        finally:
            self._watch.end(self)

    def interrupt(self) -> None:
        """End the send under way; with it the connection, also where it ends by itself at this very moment."""
        self.late = True
        self._stuck.set()
        self.task.cancel()

    def _give_up(self, failure: BaseException) -> NoReturn:
        self._stuck.set()
        raise WebSocketDisconnected from failure


class _SendWatch:
    """Looks after the sends of a connection with one timer: what is still under way at a second look is late."""

    def __init__(self) -> None:
        self._sending: set[Sender] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, sender: Sender) -> None:
        self._sending.add(sender)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SEND_TIMEOUT_S / 2, self._look)

    def end(self, sender: Sender) -> None:
        self._sending.discard(sender)

    def _look(self) -> None:
        self._timer = None
        if not self._sending:
            return
        for sender in self._sending:
            if sender.seen != sender.number:
                sender.seen = sender.number
            elif not sender.late:
                sender.interrupt()
        self._timer = asyncio.get_running_loop().call_later(SEND_TIMEOUT_S / 2, self._look)


def _current_task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    if task is None:
        raise AssertionError("sends happen within tasks")
    return task

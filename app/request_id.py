"""A name for each request: in its log lines, and in its answer, so that a report of a user finds them."""

import re
import secrets

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.logs import bound

HEADER = "X-Request-Id"
_KEY = "orchestrator.request_id"
_SHAPE = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """Goes around an ASGI application; takes over an id that a proxy gave, where it is one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, connection or lifespan."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        name = scope[_KEY] = _given(scope) or secrets.token_hex(8)

        async def sending(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.accept"}:
                message.setdefault("headers", [])
                MutableHeaders(scope=message)[HEADER] = name
            await send(message)

        with bound(request_id=name):
            await self._app(scope, receive, sending)


def request_id_of(request: HTTPConnection) -> str:
    """The name of a request, for an answer that is made outside of where it holds."""
    return str(request.scope.get(_KEY, ""))


def _given(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SHAPE.fullmatch(value):
            return bytes(value).decode("ascii")
    return None

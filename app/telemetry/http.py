"""HTTP requests and websockets, seen from outside the application: one span and one count each."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry import Telemetry
from app.telemetry.metrics import OTHER
from app.telemetry.spans import NO_TRACER, Kind, Span, within

_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines: counted, but no traces."""
_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})


class ObservedHttp:
    """Goes around an ASGI application. Addresses are told by their route, never as they were sent: they carry values."""

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, connection or lifespan."""
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket" and self._telemetry.metrics is not None:
            with self._telemetry.metrics.websockets.track_inprogress():
                await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"] if scope["method"] in _METHODS else OTHER
        status = 500
        began = time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        tracer = NO_TRACER if scope["path"] in _PROBES else self._telemetry.tracer
        span = tracer.begin(method, Kind.SERVER, parent=_traceparent(scope))
        with within(span):
            try:
                await self._app(scope, receive, sending)
            finally:
                route = _route(scope)
                _describe(span, method, route, status)
                self._count(method, route, status, time.perf_counter() - began)

    def _count(self, method: str, route: str, status: int, seconds: float) -> None:
        metrics = self._telemetry.metrics
        if metrics is not None:
            metrics.http_requests.labels(method, route, str(status)).inc()
            metrics.http_seconds.labels(route).observe(seconds)


def _describe(span: Span, method: str, route: str, status: int) -> None:
    span.rename(f"{method} {route}")
    span.note({"http.request.method": method, "http.route": route, "http.response.status_code": status})
    if status >= 500:
        span.fail(str(status))


def _route(scope: Scope) -> str:
    path = getattr(scope.get("route"), "path", None)
    if not isinstance(path, str):
        return OTHER
    # A router with a prefix and nothing after it tells its routes without the prefix: the address is the route then.
    return path or str(scope["path"])


def _traceparent(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return bytes(value).decode("latin-1")
    return None

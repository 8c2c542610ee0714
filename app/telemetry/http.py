"""HTTP requests and websockets, seen from outside the application: one span and one count each."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry import Telemetry
from app.telemetry.metrics import LOST, OTHER, Metrics
from app.telemetry.spans import NO_TRACER, Kind, Span, within
from sagas import trace

_STREAMS = (b"text/event-stream", b"multipart/mixed")
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
        tracer = NO_TRACER if scope["path"] in _PROBES else self._telemetry.tracer
        method = scope["method"] if scope["method"] in _METHODS else OTHER
        span = tracer.begin(method, Kind.SERVER, parent=_traceparent(scope))
        exchange = _Exchange(self._telemetry.metrics, span, scope, method)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.begins(message)
            await send(message)

        with within(span):
            try:
                await self._app(scope, receive, sending)
            except Exception:
                exchange.breaks()
                raise
            finally:
                exchange.ends()


class _Exchange:
    """One request and its answer. An answer that goes on for as long as somebody reads is told when it begins."""

    def __init__(self, metrics: Metrics | None, span: Span, scope: Scope, method: str) -> None:
        self._metrics = metrics
        self._span = span
        self._scope = scope
        self._method = method
        self._status: int | None = None
        self._began = time.perf_counter()
        self._told = self._streams = False

    def begins(self, start: Message) -> None:
        """The answer's status and headers are known."""
        self._status = start["status"]
        self._streams = _goes_on(start)
        if self._streams:
            if self._metrics is not None:
                self._metrics.streams.inc()
            self._tell()
            self._span.end()
            # What it does from now on, as long as it is read, is part of no trace.
            trace.current.set(None)

    def breaks(self) -> None:
        """The application failed; Starlette answers for it, outside of here."""
        if self._status is None:
            self._status = 500

    def ends(self) -> None:
        """Nothing more comes."""
        if self._streams and self._metrics is not None:
            self._metrics.streams.dec()
        self._tell()

    def _tell(self) -> None:
        if self._told:
            return
        self._told = True
        route = _route(self._scope)
        _describe(self._span, self._method, route, self._status)
        if self._metrics is not None:
            status = LOST if self._status is None else str(self._status)
            self._metrics.http_requests.labels(self._method, route, status).inc()
            self._metrics.http_seconds.labels(route).observe(time.perf_counter() - self._began)


def _describe(span: Span, method: str, route: str, status: int | None) -> None:
    span.rename(f"{method} {route}")
    span.note({"http.request.method": method, "http.route": route})
    if status is not None:
        span.note({"http.response.status_code": status})
        if status >= 500:
            span.fail(str(status))


def _route(scope: Scope) -> str:
    path = getattr(scope.get("route"), "path", None)
    if not isinstance(path, str):
        return OTHER
    # A router with a prefix and nothing after it tells its routes without the prefix: the address is the route then.
    return path or str(scope["path"])


def _goes_on(start: Message) -> bool:
    kinds = [value for name, value in start.get("headers", ()) if name.lower() == b"content-type"]
    return any(kind.startswith(_STREAMS) for kind in kinds)


def _traceparent(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return bytes(value).decode("latin-1")
    return None

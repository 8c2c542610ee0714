"""Requests to GitLab: one span and one count each, told by method, route and status; the facade calls this from its threads."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.telemetry import Telemetry
from app.telemetry.metrics import LOST
from app.telemetry.routes import route_of
from app.telemetry.spans import NO_TRACER, Kind, within
from gitlab_facade.client import Exchange
from sagas import trace


class ObservedGitLab:
    """What the facade tells of each request that it sends."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    @contextmanager
    def __call__(self, method: str, url: str) -> Iterator[Exchange]:
        """Around one request."""
        route = route_of(url)
        exchange = Exchange()
        began = time.perf_counter()
        parent = trace.current.get()
        # Looks at waiting sagas, and at who may still see what, go on for ever: alone they are no story worth a trace.
        tracer = NO_TRACER if parent is None else self._telemetry.tracer
        span = tracer.begin(
            f"{method} {route}",
            Kind.CLIENT,
            parent=parent,
            attributes={"http.request.method": method, "http.route": route, "peer.service": "gitlab"},
        )
        with within(span):
            try:
                yield exchange
            finally:
                self._count(method, route, exchange, time.perf_counter() - began)
                if exchange.status is not None:
                    span.note({"http.response.status_code": exchange.status})
                    if exchange.status >= 500:
                        span.fail(str(exchange.status))

    def _count(self, method: str, route: str, exchange: Exchange, seconds: float) -> None:
        if self._telemetry.metrics is None:
            return
        status = LOST if exchange.status is None else str(exchange.status)
        self._telemetry.metrics.gitlab_requests.labels(method, route, status).inc()
        self._telemetry.metrics.gitlab_seconds.labels(method, route).observe(seconds)

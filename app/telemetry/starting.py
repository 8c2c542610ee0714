"""Puts telemetry together, and around the parts of a process, where the settings ask for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version

from app.settings import Settings
from app.telemetry import Telemetry
from app.telemetry.endpoint import metrics_listener
from app.telemetry.metrics import Metrics
from app.telemetry.spans import NO_TRACER, Tracer
from app.telemetry.standing import Hears, StandingCollector
from sagas.store.database import Database


def start_telemetry(settings: Settings, *, wants_metrics: bool) -> Telemetry:
    """Metrics, traces, or both."""
    release = version("balance-orchestrator")
    token = settings.metrics_token
    return Telemetry(
        metrics=Metrics(release) if wants_metrics else None,
        tracer=_tracer(settings, release),
        metrics_token=None if token is None else token.get_secret_value(),
        metrics_listen=settings.metrics_listen,
        metrics_open=settings.metrics,
    )


def _tracer(settings: Settings, release: str) -> Tracer:
    if settings.traces_url is None:
        return NO_TRACER
    from app.telemetry.traces import open_traces  # noqa: PLC0415 - metrics alone do without the SDK

    return open_traces(settings.traces_url, ratio=settings.traces_ratio, version=release)


@asynccontextmanager
async def telling(telemetry: Telemetry, database: Database, hub: Hears) -> AsyncIterator[None]:
    """Metrics are served and spans sent while the services are open; at the end what is left is sent."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, telemetry.tracer.close)
        metrics = telemetry.metrics
        if metrics is not None:
            collector = StandingCollector(database, hub)
            metrics.registry.register(collector)
            stack.callback(metrics.registry.unregister, collector)
            telemetry.standing.append(collector)
            stack.callback(telemetry.standing.remove, collector)
            if telemetry.metrics_listen is not None:
                await stack.enter_async_context(metrics_listener(telemetry.metrics_listen, telemetry, metrics))
        yield

"""The service as a process: `create_app` is what a server of ASGI applications serves."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from fastapi import FastAPI

from app.at_work import running
from app.origins import LOOPBACK_HOSTS, WebAccess
from app.services import Services
from app.settings import AuthMode, Settings
from app.startup import NotStartedError
from app.telemetry import open_telemetry
from app.web import build_app
from app.wiring import engine_settings, open_services


def create_app(settings: Settings) -> FastAPI:
    """The service as the settings say; with `engine_in_process` it also runs an engine."""
    engine = engine_settings(settings) if settings.engine_in_process else None

    telemetry = open_telemetry(settings)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        with _noted_on(app):
            async with open_services(settings, telemetry) as services:
                if engine is None:
                    yield services
                    return
                async with running(services.engine(engine)):
                    yield services

    app = build_app(opened, web_access(settings), telemetry, settings.limits)
    return app


@contextmanager
def _noted_on(app: FastAPI) -> Iterator[None]:
    """Keep what prevented the start: an ASGI server is told a trace, and the command wants the words."""
    try:
        yield
    except NotStartedError as failure:
        app.state.not_started = failure
        raise


def web_access(settings: Settings) -> WebAccess:
    """Which pages may call the API, and by which names it answers."""
    # In demo mode every address is on loopback: the settings refuse anything else.
    hosts = (*LOOPBACK_HOSTS, *settings.own_hosts) if settings.auth is AuthMode.DEMO else ()
    return WebAccess(settings.allowed_origins, tuple(dict.fromkeys(hosts)), graphiql=settings.shows_graphiql)

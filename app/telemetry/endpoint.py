"""`/metrics`: on the API's own address for whoever has the token, and on an address of its own where one is set."""

import asyncio
import hmac
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.origins import LOOPBACK_HOSTS
from app.setting_types import Address
from app.startup import NotStartedError
from app.telemetry import Telemetry
from app.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

PATH = "/metrics"


def metrics_route(telemetry: Telemetry, metrics: Metrics) -> Route:
    """The route, for whoever sends the token where one is set."""

    async def answer(request: Request) -> Response:
        if not _may_read(request, telemetry.metrics_token):
            return Response(
                "Send the metrics token as `Authorization: Bearer …`.\n", 401, {"WWW-Authenticate": "Bearer"}
            )
        await telemetry.refresh()
        encoder, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encoder(metrics.registry), headers={"Cache-Control": "no-store"}, media_type=media_type)

    return Route(PATH, answer, methods=["GET"], include_in_schema=False)


def _may_read(request: Request, token: str | None) -> bool:
    if token is None:
        return True
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


@asynccontextmanager
async def metrics_listener(address: Address, telemetry: Telemetry, metrics: Metrics) -> AsyncIterator[int]:
    """The route alone on an address of its own; its port. Raises NotStartedError where the address cannot be had."""
    try:
        bound = socket.create_server((address.host, address.port), family=address.family)
    except OSError as taken:
        raise NotStartedError(f"ORCHESTRATOR_METRICS_LISTEN: {address.host}:{address.port}: {taken}.") from taken
    server = _Server(
        uvicorn.Config(
            Starlette(routes=[metrics_route(telemetry, metrics)], middleware=_own_names(telemetry)),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[bound]), name="metrics")
    port: int = bound.getsockname()[1]
    log.info("metrics at http://%s:%d%s", address.host, port, PATH)
    try:
        yield port
    finally:
        server.should_exit = True
        await serving


def _own_names(telemetry: Telemetry) -> list[Middleware]:
    """Without a token the address is on loopback: a page whose name was made to resolve to it gets nothing."""
    if telemetry.metrics_token is not None:
        return []
    return [Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK_HOSTS), www_redirect=False)]


class _Server(uvicorn.Server):
    """Leaves the process's signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

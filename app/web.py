"""The routes of the HTTP service, over services that are opened at start-up and closed at the end."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import ClientDisconnect

from app import explorer, health, rest, webhooks
from app.cache import AnswerCache
from app.graphql_http import PROTOCOLS, Router, media_type, request_context
from app.graphql_post import PostRoute
from app.graphql_ws import WebSocketHandler
from app.http_limits import AnnouncedBody
from app.identity import language_of
from app.logs import bound
from app.origins import OWN_PAGES_ONLY, WebAccess, guard
from app.problems import http_problem, invalid_request, problem
from app.request_id import HEADER, RequestIds, request_id_of
from app.services import Services
from app.telemetry import Telemetry
from sagas.texts import say
from schema.errors import INTERNAL_SERVER_ERROR
from schema.limits import SHIPPED, Limits
from schema.root import Schema, build_schema, schema

log = logging.getLogger(__name__)

GRAPHQL = "/graphql"

Opener = Callable[[], AbstractAsyncContextManager[Services]]


def build_app(
    opener: Opener,
    access: WebAccess = OWN_PAGES_ONLY,
    telemetry: Telemetry | None = None,
    limits: Limits = SHIPPED,
) -> FastAPI:
    """The routes over whatever services the opener opens."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opener() as services:
            app.state.services = services
            yield

    app = FastAPI(
        title="Balance+ Orchestrator",
        description="GraphQL at `/graphql`; here is the REST side.",
        lifespan=lifespan,
        redoc_url=None,
        docs_url=None,
        # To the same path without its slash, and by what we take for our own scheme: behind a proxy that ends TLS, in clear.
        redirect_slashes=False,
        # FastAPI's own would record whole addresses, and so arguments; ours is `app.telemetry`.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    app.state.readiness = AnswerCache[None, object](ttl=0, size=1)
    graphql = Router(
        schema if telemetry is None else observed_schema(telemetry),
        graphql_ide="graphiql",
        context_getter=request_context,
        subscription_protocols=PROTOCOLS,
        allowed_origins=access.origins,
        max_subscriptions_per_connection=limits.subscriptions_per_connection,
    )
    graphql.shows_graphiql = access.graphiql
    app.router.routes.append(PostRoute(GRAPHQL, graphql))
    app.include_router(graphql, prefix=GRAPHQL, include_in_schema=False)
    for router in (rest.router, webhooks.router, health.router, explorer.pages(graphiql=access.graphiql)):
        app.include_router(router)
    app.mount("/static/console", explorer.console_files())
    app.mount("/static", explorer.static_files())
    app.add_exception_handler(RequestValidationError, invalid_request)
    app.add_exception_handler(HTTPException, http_problem)
    app.add_exception_handler(ClientDisconnect, nobody_there)
    app.add_exception_handler(Exception, internal_error)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=limits.body)
    app.add_middleware(AnnouncedBody, allowed=limits.body, graphql=GRAPHQL, media_type=media_type)
    guard(app, access)
    if telemetry is not None:
        observe(app, telemetry, graphql)
    app.add_middleware(RequestIds)
    return app


def observed_schema(telemetry: Telemetry) -> Schema:
    """The schema that tells of its operations."""
    from app.telemetry.operations import observer_of  # noqa: PLC0415 - not even loaded while nobody asks

    return build_schema(observer_of(telemetry))


def observe(app: FastAPI, telemetry: Telemetry, graphql: Router) -> None:
    """Tell of requests; and let who has the token read the metrics, or everybody where they are open."""
    from app.telemetry.endpoint import metrics_route  # noqa: PLC0415 - as above
    from app.telemetry.http import ObservedHttp  # noqa: PLC0415 - as above

    if telemetry.metrics is not None:
        telemetry.metrics.websocket_operations.set_function(
            lambda: sum(len(peer.operations) for peer in graphql.connections if isinstance(peer, WebSocketHandler))
        )
    shown = telemetry.metrics_open or telemetry.metrics_token is not None
    if telemetry.metrics is not None and shown:
        app.router.routes.append(metrics_route(telemetry, telemetry.metrics))
    app.add_middleware(ObservedHttp, telemetry=telemetry)


async def nobody_there(_request: Request, _error: Exception) -> Response:
    """Who ends a request in mid-body reads no answer, and is no fault of ours."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def internal_error(request: Request, error: Exception) -> Response:
    """What a client gets to see of a fault of ours; the server's log has it whole."""
    reference = uuid4().hex[:12]
    # Starlette calls this outside of all middleware.
    with bound(request_id=request_id_of(request)):
        log.error("internal error %s", reference, exc_info=error)
    detail = say(
        "Something went wrong inside the service; its log tells more under reference {reference}.", reference=reference
    )
    language = language_of(request.headers.get("accept-language"))
    answer = problem(INTERNAL_SERVER_ERROR, detail, status=HTTPStatus.INTERNAL_SERVER_ERROR, language=language)
    answer.headers[HEADER] = request_id_of(request)
    return answer

"""The routes of the HTTP service, over services that are opened at start-up and closed at the end."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app import explorer, health, rest, webhooks
from app.graphql_http import TRANSPORT_WS, Router, request_context
from app.origins import OWN_PAGES_ONLY, WebAccess, guard
from app.problems import http_problem, invalid_request, problem
from app.services import Services
from schema.errors import INTERNAL_SERVER_ERROR
from schema.root import schema

log = logging.getLogger(__name__)

LARGEST_BODY = 2_000_000
"""Bytes of a request; more is answered 413, as soon as the length is announced or passed."""

Opener = Callable[[], AbstractAsyncContextManager[Services]]


def build_app(opener: Opener, access: WebAccess = OWN_PAGES_ONLY) -> FastAPI:
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
        max_body_size=LARGEST_BODY,
    )
    graphql = Router(
        schema,
        graphql_ide="graphiql",
        context_getter=request_context,
        subscription_protocols=[TRANSPORT_WS],
        allowed_origins=access.origins,
    )
    graphql.shows_graphiql = access.graphiql
    app.include_router(graphql, prefix="/graphql", include_in_schema=False)
    for router in (rest.router, webhooks.router, health.router, explorer.pages(graphiql=access.graphiql)):
        app.include_router(router)
    app.mount("/static/console", explorer.console_files())
    app.mount("/static", explorer.static_files())
    app.add_exception_handler(RequestValidationError, invalid_request)
    app.add_exception_handler(HTTPException, http_problem)
    app.add_exception_handler(Exception, internal_error)
    guard(app, access)
    return app


async def internal_error(_request: Request, error: Exception) -> Response:
    """What a client gets to see of a fault of ours; the server's log has it whole."""
    reference = uuid4().hex[:12]
    log.error("internal error %s", reference, exc_info=error)
    detail = f"Something went wrong inside the service; its log tells more under reference {reference}."
    return problem(INTERNAL_SERVER_ERROR, detail, status=HTTPStatus.INTERNAL_SERVER_ERROR)

"""Exceeded limits as HTTP tells them: status codes, and headers that say what a user has left."""

import json
from collections.abc import Callable, Sequence
from http import HTTPStatus

from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.identity import language_of
from app.problems import problem
from sagas.texts import Language
from schema.context import Context
from schema.errors import LIMIT_EXCEEDED, public_error
from schema.exceeded import limit_exceeded
from schema.rates import RateState, over_rate

RATE_HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After")
_STATUS = {"rate": 429, "deadline": 503}


def refused_status(errors: Sequence[GraphQLError]) -> int:
    """The status of an operation that never ran, where the media type lets it tell: 400 unless a limit has its own."""
    return next((_STATUS[limit] for error in errors if (limit := _limit(error)) in _STATUS), 400)


def tell_rate(request: Request, response: Response) -> None:
    """Put what the user has left into the answer's headers; seconds, as `RateLimit-Reset` and `Retry-After` have them."""
    context: Context | None = getattr(request.state, "graphql", None)
    if context is None or context.rate is None:
        return
    put_rate(context.rate, response)


def put_rate(rate: RateState, response: Response) -> None:
    """Put what a user has left into the answer's headers."""
    response.headers["RateLimit-Limit"] = str(rate.limit)
    response.headers["RateLimit-Remaining"] = str(rate.remaining)
    response.headers["RateLimit-Reset"] = str(rate.reset_in_s)
    if rate.exceeded:
        response.headers["Retry-After"] = str(rate.reset_in_s)


def too_large(request: Request, allowed: int, size: int, media_type: str) -> Response:
    """The answer to a GraphQL request whose body is over the limit."""
    error = public_error(limit_exceeded("body", allowed=allowed, value=size), _language(request))
    return Response(json.dumps({"errors": [error.formatted]}), 413, media_type=f"{media_type}; charset=utf-8")


def over_rate_problem(rate: RateState, language: Language) -> Response:
    """The answer to a REST request over the rate."""
    status = HTTPStatus.TOO_MANY_REQUESTS
    return problem(LIMIT_EXCEEDED, over_rate(rate).message, status=status, language=language)


class AnnouncedBody:
    """Refuses a body by its announced length, before a byte of it is read.

    Starlette's own middleware would do so in plain text; it takes care of a length that is not announced, or not kept to.
    """

    def __init__(self, app: ASGIApp, *, allowed: int, graphql: str, media_type: Callable[[Request], str]) -> None:
        self._app, self._allowed, self._graphql, self._media_type = app, allowed, graphql, media_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, or refuse."""
        if scope["type"] == "http" and (size := _announced(Request(scope))) > self._allowed:
            await self._refusal(Request(scope), size)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, request: Request, size: int) -> Response:
        if request.url.path == self._graphql:
            return too_large(request, self._allowed, size, self._media_type(request))
        message = limit_exceeded("body", allowed=self._allowed, value=size).message
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return problem(LIMIT_EXCEEDED, message, status=status, language=_language(request))


def _language(request: Request) -> Language:
    return language_of(request.headers.get("accept-language"))


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


def _limit(error: GraphQLError) -> str:
    return str((error.extensions or {}).get("limit"))

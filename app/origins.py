"""Which web pages may talk to the service: its own, and those of the origins that a setting names.

A browser lets any page on the web send requests to this machine. Tokens are never ambient here (no cookies), so a
foreign page can do nothing in anybody's name, except in demo mode, where no token is needed: there the `Host` header
must be this machine's, or a page whose own name was made to resolve to 127.0.0.1 (DNS rebinding) would count as ours.
"""

from dataclasses import dataclass

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class WebAccess:
    """`origins`: foreign origins whose pages may call the API. `hosts`: the only names it answers to; none: any.

    `graphiql`: whether a browser that opens `/graphql` gets GraphiQL.
    """

    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    graphiql: bool = True


OWN_PAGES_ONLY = WebAccess()


class TakenAtItsWord:
    """Tells browsers to take every answer for what its `Content-Type` says: JSON with somebody's text in it is no page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does, with one header more."""

        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("X-Content-Type-Options", "nosniff")
            await send(message)

        await self._app(scope, receive, send_with_header if scope["type"] == "http" else send)


def guard(app: FastAPI, access: WebAccess) -> None:
    """Put the checks before everything else."""
    if access.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=access.origins,
            allow_methods=["GET", "POST"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "Accept-Language",
                "traceparent",
                "X-Request-Id",
            ],
            expose_headers=["Retry-After", "X-Request-Id"],
            allow_credentials=False,
            max_age=600,
        )
    app.add_middleware(TakenAtItsWord)
    if access.hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=access.hosts, www_redirect=False)

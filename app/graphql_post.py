"""POST to `/graphql` as a bare ASGI route, which also refuses the methods that nobody answers there.

FastAPI would work out for each request which dependencies its endpoint has, and keep exit stacks for them; this one
has none. GET and websockets go by Strawberry's own routes, behind this one.
"""

from cross_web import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from app.graphql_http import Router, refusal, request_context
from sagas.texts import say

_ELSEWHERE = frozenset({"GET", "HEAD", "OPTIONS"})


class PostRoute(BaseRoute):
    """Answers what is posted to one path by the router's view."""

    def __init__(self, path: str, router: Router) -> None:
        self.path, self._router = path, router

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the request is for here."""
        if scope["type"] == "http" and scope["method"] not in _ELSEWHERE and scope["path"] == self.path:
            return Match.FULL, {"endpoint": self.handle, "path_params": {}, "route": self}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive, send)
        if scope["method"] != "POST":
            refused = HTTPException(
                405, say("Send operations by POST, or queries by GET; each stream has its own request.")
            )
            await refusal(request, refused)(scope, receive, send)
            return
        response = await self._router.run(request, context=await request_context(request), root_value=None)
        await response(scope, receive, send)

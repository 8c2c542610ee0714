"""The page that a browser gets at `/graphql`, and the one at `/`.

GraphiQL where its build is installed beside this module, else an explorer of our own; no page loads anything from
another host.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse
from starlette.staticfiles import StaticFiles

PAGES = Path(__file__).resolve().parent / "graphiql"
BUILD = PAGES / "dist"

_SOURCES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
# Monaco, GraphiQL's editor, sets styles from scripts and starts workers.
_GRAPHIQL_SOURCES = {**_SOURCES, "style-src": "'self' 'unsafe-inline'", "worker-src": "'self' blob:"}

_GRAPHIQL_LINK = '<a class="button" href="/graphql">Explore the GraphQL API</a> '


def explorer_page() -> HTMLResponse:
    """GraphiQL, or the explorer of our own."""
    if (BUILD / "index.html").is_file():
        return _page(BUILD / "index.html", _GRAPHIQL_SOURCES)
    return _page(PAGES / "explorer.html", _SOURCES)


def pages(*, graphiql: bool) -> APIRouter:
    """The console at `/`, which leads to GraphiQL where there is one."""
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    async def console() -> HTMLResponse:
        """Where to go, and how the service does."""
        return _page(PAGES / "console.html", _SOURCES, without="" if graphiql else _GRAPHIQL_LINK)

    @router.get("/favicon.ico", include_in_schema=False)
    async def icon() -> FileResponse:
        """What browsers ask for on their own."""
        return FileResponse(PAGES / "icon.svg", media_type="image/svg+xml")

    return router


class _PartsOfPages(StaticFiles):
    """Scripts and styles, but no page: those are served above, each under its Content-Security-Policy, or not at all."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """As Starlette does."""
        return ("", None) if path.endswith(".html") else super().lookup_path(path)


def static_files() -> StaticFiles:
    """Scripts and styles of the pages."""
    return _PartsOfPages(directory=PAGES)


def _page(path: Path, sources: Mapping[str, str], *, without: str = "") -> HTMLResponse:
    headers = {
        "Content-Security-Policy": "; ".join(f"{kind} {source}" for kind, source in sources.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    text = path.read_text(encoding="utf-8")
    return HTMLResponse(text.replace(without, "") if without else text, headers=headers)

"""The page that a browser gets at `/graphql`, and those of the console at `/`.

GraphiQL and the web console where their builds are installed beside this module, else a small page of our own in the
place of each; no page loads anything from another host.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter
from starlette.datastructures import Headers
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

PAGES = Path(__file__).resolve().parent / "graphiql"
BUILD = PAGES / "dist"
CONSOLE_BUILD = PAGES.with_name("console") / "dist"
CONSOLE_ROUTES = ("/", "/sagas", "/sagas/{saga_id:path}", "/issues", "/geometries")
"""The console finds its own way at each of these, so that a link into it works and a reload stays where one is."""

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

# How a page of ours says that there is GraphiQL at /graphql.
_GRAPHIQL_MARK = '<meta name="graphiql" content="/graphql">'
_GRAPHIQL_LINK = '<a class="button" href="/graphql">Explore the GraphQL API</a> '


def explorer_page() -> HTMLResponse:
    """GraphiQL, or the explorer of our own."""
    if (BUILD / "index.html").is_file():
        return _page(BUILD / "index.html", _GRAPHIQL_SOURCES)
    return _page(PAGES / "explorer.html", _SOURCES)


def pages(*, graphiql: bool) -> APIRouter:
    """The console, which leads to GraphiQL where there is one."""
    router = APIRouter()

    async def console() -> HTMLResponse:
        """The web console, or a small page: where to go, and how the service does."""
        if (CONSOLE_BUILD / "index.html").is_file():
            return _page(CONSOLE_BUILD / "index.html", _SOURCES, without="" if graphiql else _GRAPHIQL_MARK)
        return _page(PAGES / "console.html", _SOURCES, without="" if graphiql else _GRAPHIQL_LINK)

    for path in CONSOLE_ROUTES:
        router.add_api_route(path, console, methods=["GET"], include_in_schema=False)

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


class _PartsOfTheConsole(_PartsOfPages):
    """Their names change with what is in them, so browsers may keep them; most have a compressed twin beside them."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """The twin, for those who take it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        twin = Path(f"{os.fspath(full_path)}.gz")
        if status_code != 200 or not isinstance(response, FileResponse) or not twin.is_file():
            return response
        response.headers["Vary"] = "Accept-Encoding"
        if "gzip" not in Headers(scope=scope).get("accept-encoding", ""):
            return response
        headers = {
            "Content-Encoding": "gzip",
            "Vary": "Accept-Encoding",
            "Cache-Control": response.headers["Cache-Control"],
        }
        return FileResponse(twin, headers=headers, media_type=response.media_type)


def static_files() -> StaticFiles:
    """Scripts and styles of the small pages and of GraphiQL."""
    return _PartsOfPages(directory=PAGES)


def console_files() -> StaticFiles:
    """Scripts, styles and fonts of the web console, if it is built."""
    return _PartsOfTheConsole(directory=CONSOLE_BUILD, check_dir=False)


def _page(path: Path, sources: Mapping[str, str], *, without: str = "") -> HTMLResponse:
    headers = {
        "Content-Security-Policy": "; ".join(f"{kind} {source}" for kind, source in sources.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    text = path.read_text(encoding="utf-8")
    return HTMLResponse(text.replace(without, "") if without else text, headers=headers)

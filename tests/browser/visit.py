"""A real browser on the really listening service, with every other host out of reach."""

import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import ConsoleMessage, Locator, Page, Request, WebSocket, async_playwright, expect

from tests.app.api import Api
from tests.app.listening import listening

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
IN_CI = os.environ.get("CI") == "true"
SCREENSHOTS = "ORCHESTRATOR_SCREENSHOTS"
"""The variable that names a folder for pictures of what the tests saw; without it they go to the temporary folder."""
PATIENCE_MS = 20_000

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
_REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy ${event.violatedDirective} refuses ${event.blockedURI}`));
"""


@dataclass
class Visit:
    """A page, what it sent, and what went wrong in it: console errors, refused loads, requests to other hosts."""

    page: Page
    origin: str
    name: str
    trouble: list[str] = field(default_factory=list)
    posted: list[Request] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)

    def watch(self) -> None:
        """Begin to record."""
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("request", self._request)
        self.page.on("response", lambda answer: self._answered(answer.status, answer.url))
        self.page.on("websocket", self._socket)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.trouble.append(message.text)

    def _request(self, request: Request) -> None:
        if request.url.startswith(("data:", "blob:")):
            return
        if not request.url.startswith(self.origin):
            self.trouble.append(f"loads {request.url}")
        elif request.method == "POST":
            self.posted.append(request)

    def _answered(self, status: int, url: str) -> None:
        if status >= 400 and not url.endswith("/graphql"):
            self.trouble.append(f"{status} for {url}")

    def _socket(self, socket: WebSocket) -> None:
        if not socket.url.startswith(self.origin.replace("http", "ws", 1)):
            self.trouble.append(f"connects to {socket.url}")
        socket.on("framesent", lambda frame: self.frames.append(json.loads(frame)))

    async def stored(self, kind: str) -> str:
        """Everything in the page's `localStorage` or `sessionStorage`."""
        return str(await self.page.evaluate(f"JSON.stringify({kind})"))

    async def photograph(self, what: str = "") -> None:
        """Keep a picture for people to look at."""
        folder = Path(os.environ.get(SCREENSHOTS) or Path(tempfile.gettempdir()) / "orchestrator-screenshots")
        folder.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=folder / f"{'-'.join(filter(None, (self.name, what)))}.png")


class GraphiQL:
    """GraphiQL as its user handles it."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.page = visit.page
        self.token = self.page.get_by_label("Token")
        self.query = self.page.locator(".graphiql-query-editor .view-lines")
        self.answer = self.page.locator(".graphiql-response .view-lines")

    async def open(self) -> None:
        """Load it, and wait until its editor stands."""
        await self.page.goto("/graphql")
        await expect(self.query).to_contain_text("viewer", timeout=PATIENCE_MS)

    async def tab(self, name: str) -> None:
        """Go to a tab."""
        await self.page.get_by_role("tab", name=name).click()
        await expect(self.query).to_contain_text(name)

    async def fill_in(self, variables: object) -> None:
        """Replace the variables."""
        await self._type(self.page.locator(".graphiql-editor-tool .view-lines").first, json.dumps(variables))

    async def send_headers(self, headers: dict[str, str]) -> None:
        """Replace the headers of the tab's own."""
        await self.page.get_by_role("button", name="Headers").click()
        await self._type(self.page.locator(".graphiql-editor-tool .view-lines >> visible=true"), json.dumps(headers))

    async def ask(self, query: str) -> None:
        """Replace the tab's query."""
        await self._type(self.query, query)

    async def _type(self, editor: Locator, text: str) -> None:
        await editor.click()
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.press("Delete")
        await self.page.keyboard.insert_text(text)

    async def run(self, operation: str | None = None) -> None:
        """Execute the tab's operation, or the named one where it has several."""
        await self.page.get_by_role("button", name="Execute query").click()
        if operation is not None:
            await self.page.get_by_role("menuitem", name=operation).click()

    async def shows(self, text: str) -> None:
        """Wait until the answer contains the text."""
        await expect(self.answer).to_contain_text(text, timeout=PATIENCE_MS)


@asynccontextmanager
async def visiting(api: Api, *, name: str) -> AsyncIterator[Visit]:
    """A fresh browser with one empty page, on the service."""
    async with listening(api.app) as server, browsing(f"http://127.0.0.1:{server.port}", name=name) as visit:
        yield visit


@asynccontextmanager
async def browsing(origin: str, *, name: str) -> AsyncIterator[Visit]:
    """A fresh browser with one empty page, on whatever listens there."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        try:
            page = await browser.new_page(base_url=origin, viewport={"width": 1400, "height": 850})
            await page.add_init_script(_REPORT_VIOLATIONS)
            visit = Visit(page, origin, name)
            visit.watch()
            yield visit
        finally:
            await browser.close()

"""The web console as its user handles it."""

from playwright.async_api import Locator, Page, expect

from tests.browser.visit import PATIENCE_MS, Visit

TOKEN_KEY = "orchestrator.token"


class Console:
    """The console in one tab."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.page: Page = visit.page
        self.rows = self.page.locator(".saga-row")
        self.form = self.page.locator(".input-form")
        self.journal = self.page.locator(".journal")
        self.status = self.page.locator(".fact-status .status")
        self.link_state = self.page.locator(".link-state")

    def heading(self, text: str) -> Locator:
        """The page's title."""
        return self.page.get_by_role("heading", level=1, name=text)

    def step(self, name: str) -> Locator:
        """The steps of that name, in the graph."""
        return self.page.locator(".step").filter(has_text=name)

    async def sign_in(self, token: str, path: str = "/sagas") -> None:
        """A page, as the token's user, connected."""
        await self.page.add_init_script(f"sessionStorage.setItem('{TOKEN_KEY}', '{token}')")
        await self.page.goto(path)
        await expect(self.link_state).to_have_text("Live", timeout=PATIENCE_MS)

    async def enter_token(self, token: str) -> None:
        """Fill in the form that asks for it."""
        await self.page.get_by_label("Token").fill(token)
        await self.page.get_by_role("button", name="Use it").click()

    async def submit(self) -> None:
        """Send the form."""
        await self.form.get_by_role("button", name="Commit and calculate").click()

    async def act(self, action: str, confirmation: str) -> None:
        """Press a button of the saga, and the one that confirms it."""
        await self.page.get_by_role("button", name=action).click()
        await self.page.get_by_role("dialog").get_by_role("button", name=confirmation).click()

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
        self.link_state = self.page.locator(".link-state")

    def heading(self, text: str) -> Locator:
        """The page's title."""
        return self.page.get_by_role("heading", level=1, name=text)

    async def sign_in(self, token: str) -> None:
        """The list, as the token's user, connected."""
        await self.page.add_init_script(f"sessionStorage.setItem('{TOKEN_KEY}', '{token}')")
        await self.page.goto("/sagas")
        await expect(self.link_state).to_have_text("Live", timeout=PATIENCE_MS)

    async def enter_token(self, token: str) -> None:
        """Fill in the form that asks for it."""
        await self.page.get_by_label("Token").fill(token)
        await self.page.get_by_role("button", name="Use it").click()

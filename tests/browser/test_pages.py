"""The small pages that stand in where the console or GraphiQL is not built, in a real browser."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from app import explorer
from tests.app.api import saga_id
from tests.browser import needs
from tests.browser.visit import Visit
from tests.support import eventually
from tests.world import World

pytestmark = needs.CHROMIUM


@pytest.fixture
def without_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(explorer, "BUILD", tmp_path)
    monkeypatch.setattr(explorer, "CONSOLE_BUILD", tmp_path)


@pytest.mark.usefixtures("without_build")
async def test_the_small_page_shows_how_the_service_does_and_leads_to_graphql(visit: Visit) -> None:
    await visit.page.goto("/")
    await expect(visit.page.locator("#status")).to_have_text("ready")
    await expect(visit.page.locator("#dependencies tr")).to_have_count(4)
    await visit.photograph()
    await visit.page.get_by_role("link", name="Explore the GraphQL API").click()
    await expect(visit.page).to_have_url(f"{visit.origin}/graphql")
    await visit.page.wait_for_load_state("networkidle")


@pytest.mark.usefixtures("without_build")
async def test_every_link_of_the_small_page_leads_somewhere(visit: Visit) -> None:
    await visit.page.goto("/")
    links = await visit.page.locator("a").evaluate_all("links => links.map(link => link.href)")
    assert len(links) == 2
    for link in links:
        answer = await visit.page.request.get(link, headers={"Accept": "text/html"})
        assert answer.status == 200, link


@pytest.mark.usefixtures("without_build")
async def test_the_small_explorer_asks_listens_and_shows_the_schema(visit: Visit, world: World) -> None:
    saga = await world.start()
    page = visit.page
    await page.goto("/graphql")
    await page.fill("#token", "irina")
    await page.fill("#query", "{ viewer { username } }")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#answer")).to_contain_text('"irina"')
    await page.fill("#query", "subscription S($saga: ID!) { sagaEvents(sagaId: $saga) { version type } }")
    await page.fill("#variables", f'{{"saga": "{saga_id(saga)}"}}')
    await page.click("#run")
    await expect(page.locator("#answer")).to_contain_text("STARTED")
    await page.fill("#search", "startBalance")
    await expect(page.locator("#types details")).to_have_count(2)
    await visit.photograph()


@pytest.mark.usefixtures("without_build")
async def test_the_watch_over_a_page_notices_what_it_must_not_do(visit: Visit) -> None:
    await visit.page.goto("/graphql")
    assert visit.trouble == []
    await visit.page.evaluate("fetch('https://cdn.example.test/script.js').catch(() => null)")
    await visit.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">styled</p>')")
    for refused in ("policy connect-src refuses https://cdn.example.test/script.js", "policy style-src"):
        await eventually(lambda wanted=refused: any(wanted in line for line in visit.trouble), what=refused)
    visit.trouble.clear()

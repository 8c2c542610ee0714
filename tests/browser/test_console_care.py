"""What the console owes to people: access for all, small screens, speed, and the truth about its connection."""

from datetime import timedelta
from typing import Literal

import pytest
from playwright.async_api import Page, expect

from sagas.models import Saga, SagaStatus
from tests.app.api import Api, saga_id
from tests.browser import needs
from tests.browser.axe import violations
from tests.browser.console import TOKEN_KEY, Console
from tests.browser.visit import PATIENCE_MS, Visit
from tests.store import rows
from tests.support import eventually
from tests.world import ENGINEER, World

pytestmark = [needs.CHROMIUM, needs.CONSOLE]

FORM = "AWAIT_USER_CONDENSER_INPUT"
FIRST_VIEW_BYTES = 300_000
WAYS_TO_LOOK: tuple[tuple[int, Literal["light", "dark"]], ...] = ((1400, "light"), (360, "dark"))


@pytest.fixture
async def saga(world: World, api: Api) -> Saga:
    world.forge.add_issue(world.project, "Summer water", labels=("condenser",), assignees=(ENGINEER,))
    answer = await world.service.start_balance(ENGINEER, project_path=world.project.path, issue_iid=1)
    return await world.reaches(answer.saga.id, FORM, SagaStatus.AWAITING_INPUT)


@pytest.fixture
async def console(visit: Visit) -> Console:
    opened = Console(visit)
    await opened.sign_in("irina")
    return opened


async def test_every_page_is_accessible_light_and_wide_as_well_as_dark_and_narrow(console: Console, saga: Saga) -> None:
    page = console.page
    for width, scheme in WAYS_TO_LOOK:
        await page.set_viewport_size({"width": width, "height": 850})
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for name, path in (
            ("list", "/sagas"),
            ("issues", "/issues"),
            ("geometries", "/geometries"),
            ("saga", f"/sagas/{saga_id(saga)}"),
        ):
            await page.goto(path)
            await expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=PATIENCE_MS)
            await settled(page)
            assert await violations(page) == [], (name, width, scheme)
            wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, f"{name} can be pushed sideways at {width} px"
            await console.visit.photograph(f"{name}-{width}-{scheme}")


async def settled(page: Page) -> None:
    """Wait until lazily loaded parts stand."""
    await page.wait_for_load_state("networkidle")
    await page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


async def test_dialogs_are_accessible_and_close_on_escape(console: Console, world: World, saga: Saga) -> None:
    await console.page.goto(f"/sagas/{saga_id(saga)}")
    await console.page.get_by_role("button", name="Cancel the saga").click(timeout=PATIENCE_MS)
    await expect(console.page.get_by_role("dialog")).to_be_visible()
    assert await violations(console.page) == []
    await console.page.keyboard.press("Escape")
    await expect(console.page.get_by_role("dialog")).to_be_hidden()
    await expect(console.page.get_by_role("button", name="Cancel the saga")).to_be_focused()
    assert (await world.saga(saga.id)).status is SagaStatus.AWAITING_INPUT


async def test_the_keyboard_alone_leads_from_the_list_into_a_form(console: Console, world: World, saga: Saga) -> None:
    world.forge.add_branch(world.project, "issue/2-other")
    other = await world.start(branch="issue/2-other")
    await world.reaches(other.id, FORM, SagaStatus.AWAITING_INPUT)
    await expect(console.rows).to_have_count(2, timeout=PATIENCE_MS)
    await console.rows.first.get_by_role("link").focus()
    await console.page.keyboard.press("ArrowDown")
    await expect(console.rows.nth(1).get_by_role("link")).to_be_focused()
    await console.page.keyboard.press("Enter")
    await expect(console.form).to_be_visible(timeout=PATIENCE_MS)
    await console.form.get_by_label("load").focus()
    await console.page.keyboard.press("Control+A")
    await console.page.keyboard.type("12")
    await console.page.keyboard.press("Enter")
    await expect(console.form).to_be_hidden(timeout=PATIENCE_MS)
    await world.published(saga.id, "condenser")


async def test_the_first_view_is_small(console: Console) -> None:
    sizes = "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
    loaded = await console.page.evaluate(f"{sizes}.map((entry) => [entry.name, entry.encodedBodySize])")
    assert sum(size for _, size in loaded) < FIRST_VIEW_BYTES, loaded


async def test_a_thousand_rows_cost_no_more_than_a_screenful(console: Console, world: World, saga: Saga) -> None:
    alike = {"project_id": saga.project_id, "project_path": saga.project_path, "context": saga.context}
    many = [rows.saga(minute=number, branch=f"issue/{number}", **alike) for number in range(1000)]
    await rows.insert(world.database.engine, many)
    await console.page.reload()
    await expect(console.page.get_by_role("status").filter(has_text="of 1001 sagas")).to_be_visible(timeout=PATIENCE_MS)
    scroller = console.page.locator(".saga-rows")

    async def at_the_end() -> bool:
        await scroller.evaluate("place => place.scrollTo(0, place.scrollHeight)")
        return await console.rows.filter(has_text="issue/0").count() == 1

    await eventually(at_the_end, timeout=60)
    assert await console.rows.count() < 60
    await scroller.evaluate("place => place.scrollTo(0, place.scrollHeight / 2)")
    before = await visible_branch(console)
    world.forge.add_branch(world.project, "issue/2-other")
    newest = await world.start(branch="issue/2-other")
    await expect(console.page.get_by_role("button", name="1 new saga above")).to_be_visible(timeout=PATIENCE_MS)
    assert await visible_branch(console) == before, "what one reads stays where it is"
    await console.page.get_by_role("button", name="1 new saga above").click()
    await expect(console.rows.first).to_contain_text(newest.branch, timeout=PATIENCE_MS)


async def visible_branch(console: Console) -> str:
    """The branch of the row in the middle of the screen, once rows are drawn there."""
    row = "document.elementFromPoint(700, 500).closest('.saga-row')"

    async def drawn() -> str | None:
        found = await console.page.evaluate(f"{row}?.querySelector('.c-branch small').textContent ?? null")
        return None if found is None else str(found)

    return await eventually(drawn)


async def test_two_browsers_agree(console: Console, world: World, saga: Saga) -> None:
    browser = console.page.context.browser
    assert browser is not None
    other = await browser.new_page(base_url=console.visit.origin)
    await other.add_init_script(f"sessionStorage.setItem('{TOKEN_KEY}', 'pavel')")
    for page in (console.page, other):
        await page.goto(f"/sagas/{saga_id(saga)}")
        await expect(page.locator(".input-form")).to_be_visible(timeout=PATIENCE_MS)
    await console.form.get_by_label("load").fill("6")
    await console.submit()
    await world.work(saga.id, "condenser")
    for page in (console.page, other):
        await expect(page.locator(".input-form h2")).to_contain_text("Feedwater", timeout=PATIENCE_MS)
    shown = [await page.locator(".journal .version").all_inner_texts() for page in (console.page, other)]
    assert shown[0] == shown[1]


@pytest.fixture
async def sleeper(visit: Visit, saga: Saga) -> Console:
    """The saga's page on a machine that can be put to sleep."""
    await visit.page.clock.install()
    opened = Console(visit)
    await opened.sign_in("irina", f"/sagas/{saga_id(saga)}")
    await expect(opened.form).to_be_visible(timeout=PATIENCE_MS)
    return opened


async def test_a_closed_lid_is_noticed_and_what_was_missed_is_caught_up(
    sleeper: Console, world: World, saga: Saga
) -> None:
    sockets: list[str] = []
    sleeper.page.on("websocket", lambda socket: sockets.append(socket.url))
    await sleeper.page.clock.fast_forward(timedelta(hours=1).seconds * 1000)
    await eventually(lambda: sockets, what="a connection that slept is not trusted")
    await expect(sleeper.link_state).to_have_text("Live", timeout=PATIENCE_MS)
    await world.give(saga.id, "condenser")
    await expect(sleeper.journal).to_contain_text("The form was filled in", timeout=PATIENCE_MS)
    told = [int(version) for version in await sleeper.journal.locator(".version").all_inner_texts()]
    assert told == list(range(len(told), 0, -1))

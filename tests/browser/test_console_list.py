"""The console's list of sagas, in a real browser."""

import re

import pytest
from playwright.async_api import expect

from sagas.models import SagaStatus
from tests.browser import needs
from tests.browser.console import Console
from tests.browser.visit import PATIENCE_MS, Visit
from tests.world import World

pytestmark = [needs.CHROMIUM, needs.CONSOLE]


@pytest.fixture
async def console(visit: Visit) -> Console:
    opened = Console(visit)
    await opened.sign_in("irina")
    return opened


async def test_it_asks_for_a_token_and_keeps_it_for_this_tab_only(visit: Visit) -> None:
    console = Console(visit)
    await visit.page.goto("/sagas")
    await expect(console.heading("Enter a token")).to_be_visible(timeout=PATIENCE_MS)
    await console.enter_token("nobody")
    await expect(console.heading("does not accept this token")).to_be_visible(timeout=PATIENCE_MS)
    await visit.photograph()
    await console.enter_token("irina")
    await expect(console.heading("Sagas")).to_be_visible(timeout=PATIENCE_MS)
    await expect(console.link_state).to_have_text("Live", timeout=PATIENCE_MS)
    assert "irina" in await visit.stored("sessionStorage")
    assert "irina" not in await visit.stored("localStorage")


async def test_a_saga_appears_and_moves_before_the_reader_s_eyes(console: Console, world: World) -> None:
    await expect(console.rows).to_have_count(0)
    saga = await world.start()
    await expect(console.rows).to_have_count(1, timeout=PATIENCE_MS)
    await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    await expect(console.rows.first).to_contain_text("Needs input", timeout=PATIENCE_MS)
    await world.give(saga.id, "condenser")
    await expect(console.rows.first).to_contain_text("Calculating", timeout=PATIENCE_MS)
    await console.visit.photograph()


async def test_filters_live_in_the_address_and_survive_a_reload(console: Console, world: World) -> None:
    world.forge.add_branch(world.project, "issue/2-other")
    for branch in ("issue/1-test", "issue/2-other"):
        saga = await world.start(branch=branch)
        await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    await expect(console.rows).to_have_count(2, timeout=PATIENCE_MS)
    await console.page.get_by_role("searchbox", name="Search").fill("OTHER")
    await expect(console.rows).to_have_count(1, timeout=PATIENCE_MS)
    await console.page.get_by_role("button", name="Needs input").click()
    await expect(console.page).to_have_url(re.compile(r"\?q=OTHER&status=AWAITING_INPUT$"))
    await console.page.reload()
    await expect(console.rows).to_have_count(1, timeout=PATIENCE_MS)
    await expect(console.rows.first).to_contain_text("issue/2-other")
    await console.page.get_by_role("button", name="Clear filters").click()
    await expect(console.rows).to_have_count(2, timeout=PATIENCE_MS)


async def test_what_leaves_the_filter_keeps_its_place_until_it_is_taken_out(console: Console, world: World) -> None:
    saga = await world.start()
    await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    await console.page.goto("/sagas?status=AWAITING_INPUT")
    await expect(console.rows).to_have_count(1, timeout=PATIENCE_MS)
    await world.give(saga.id, "condenser")
    await expect(console.rows.first).to_contain_text("Calculating", timeout=PATIENCE_MS)
    await console.page.get_by_role("button", name="Take them out").click()
    await expect(console.page.get_by_text("No saga fits these filters.")).to_be_visible()


async def test_a_person_reads_it_in_russian_and_in_the_dark(console: Console) -> None:
    page = console.page
    await page.locator(".preferences summary").click()
    await page.get_by_label("Language").select_option("ru")
    await expect(console.heading("Саги")).to_be_visible()
    await page.get_by_label("Оформление").select_option("dark")
    await page.reload()
    await expect(console.heading("Саги")).to_be_visible(timeout=PATIENCE_MS)
    assert await page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"
    await console.visit.photograph()

"""My issues in the console, in a real browser: where the work begins."""

import re

from playwright.async_api import expect

from sagas.models import SagaStatus
from tests.app.api import saga_id
from tests.browser import needs
from tests.browser.console import Console
from tests.browser.visit import PATIENCE_MS, Visit
from tests.world import ENGINEER, World

pytestmark = [needs.CHROMIUM, needs.CONSOLE]


async def test_a_calculation_starts_from_its_issue_once(visit: Visit, world: World) -> None:
    world.forge.add_issue(world.project, "Summer water", assignees=(ENGINEER,))
    console = Console(visit)
    await console.sign_in("irina", "/issues")
    issue = visit.page.get_by_role("listitem").filter(has_text="Summer water")
    await expect(issue).to_contain_text("not calculated yet", timeout=PATIENCE_MS)
    await issue.get_by_role("button", name="Start calculation").dblclick()
    await expect(visit.page).to_have_url(re.compile("/sagas/.+"), timeout=PATIENCE_MS)
    await expect(console.form).to_be_visible(timeout=PATIENCE_MS)
    assert await world.database.read(lambda c: c.fetchval("SELECT count(*) FROM saga")) == 1
    await visit.page.go_back()
    await issue.get_by_role("link", name="Fill in the form").click()
    await expect(console.form).to_be_visible(timeout=PATIENCE_MS)


async def test_its_sagas_move_on_the_page(visit: Visit, world: World) -> None:
    world.forge.add_issue(world.project, "Summer water", assignees=(ENGINEER,))
    answer = await world.service.start_balance(ENGINEER, project_path=world.project.path, issue_iid=1)
    saga = answer.saga
    await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    console = Console(visit)
    await console.sign_in("irina", "/issues")
    issue = visit.page.get_by_role("listitem").filter(has_text="Summer water")
    await expect(issue).to_contain_text("Needs input", timeout=PATIENCE_MS)
    await world.give(saga.id, "condenser")
    await expect(issue).to_contain_text("Calculating", timeout=PATIENCE_MS)
    await visit.photograph()
    await issue.get_by_role("link", name="Open the saga").click()
    await expect(visit.page).to_have_url(re.compile(re.escape(saga_id(saga).rstrip("="))))

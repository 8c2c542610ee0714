"""One saga in the console, in a real browser: seen, filled in, paused, retried, cancelled."""

import json
import re

import pytest
from playwright.async_api import Route, expect

from sagas.ids import SagaId
from sagas.models import Saga, SagaStatus
from sagas.ports import TaskReport, TaskState, User
from tests.app.api import Api, saga_id
from tests.browser import needs
from tests.browser.console import Console
from tests.browser.visit import PATIENCE_MS, Visit
from tests.world import COLLEAGUE, World

pytestmark = [needs.CHROMIUM, needs.CONSOLE]

FORM = "AWAIT_USER_CONDENSER_INPUT"


def committed(world: World) -> object:
    """The condenser's input file in the branch."""
    return json.loads(world.forge.read(world.project, "issue/1-test", "condenser_input.json") or "null")


@pytest.fixture
async def saga(world: World, api: Api) -> Saga:
    started = await world.start()
    return await world.reaches(started.id, FORM, SagaStatus.AWAITING_INPUT)


@pytest.fixture
async def console(visit: Visit, saga: Saga) -> Console:
    opened = Console(visit)
    await opened.sign_in("irina", f"/sagas/{saga_id(saga)}")
    await expect(opened.form).to_be_visible(timeout=PATIENCE_MS)
    return opened


async def test_the_form_is_checked_while_one_types_and_then_moves_the_saga(
    console: Console, world: World, saga: Saga
) -> None:
    load = console.form.get_by_label("load")
    await expect(load).to_have_value("3")
    await load.fill("1001")
    await expect(console.form).to_contain_text("At most 1000.")
    await console.submit()
    assert (await world.saga(saga.id)).state == FORM, "a wrong value is not sent"
    await load.fill("7.5")
    await expect(console.form).not_to_contain_text("At most")
    await console.submit()
    await expect(console.form).to_be_hidden(timeout=PATIENCE_MS)
    await world.published(saga.id, "condenser")
    await expect(console.step("Calculate").first).to_have_attribute("data-step", "WAITING", timeout=PATIENCE_MS)
    await expect(console.journal).to_contain_text("The form was filled in · Irina Sokolova")
    await expect(console.journal).to_contain_text("The task was sent to a worker", timeout=PATIENCE_MS)
    assert committed(world) == {"load": 7.5}
    await console.visit.photograph()


async def test_values_are_not_sent_where_somebody_else_moved_the_saga_meanwhile(
    console: Console, world: World, saga: Saga
) -> None:
    await console.form.get_by_label("load").fill("42")
    await world.service.advance(COLLEAGUE, SagaId(saga.id), step=FORM, values={"load": 9})
    notice = console.form.get_by_role("alert")
    await expect(notice).to_contain_text("moved the saga on while you were filling in the form", timeout=PATIENCE_MS)
    await expect(console.form.get_by_label("load")).to_have_value("42")
    await expect(console.form.get_by_role("button", name="Commit and calculate")).to_be_disabled()
    await console.visit.photograph()
    await notice.get_by_role("button", name="Close the form").click()
    await expect(console.form).to_be_hidden()
    await world.published(saga.id, "condenser")
    assert committed(world) == {"load": 9}


async def test_a_file_that_changes_under_the_form_is_told_and_can_be_taken(
    console: Console, world: World, saga: Saga
) -> None:
    load = console.form.get_by_label("load")
    await load.fill("42")
    colleague = User(COLLEAGUE.id, COLLEAGUE.username)
    world.forge.write(world.project, saga.branch, "condenser_input.json", '{"load": 17}', author=colleague)
    await world.pushed(saga.branch)
    notice = console.form.get_by_role("alert")
    await expect(notice).to_contain_text("The file was changed in the branch", timeout=PATIENCE_MS)
    await expect(load).to_have_value("42")
    await notice.get_by_role("button", name="Take their values").click()
    await expect(load).to_have_value("17")
    await expect(notice).to_be_hidden()


async def test_what_the_service_refuses_is_shown_at_its_field(console: Console, world: World, saga: Saga) -> None:
    async def spoil(route: Route) -> None:
        """A value that the form would not let through, so that the service itself has to refuse it."""
        body = route.request.post_data or ""
        await route.continue_(post_data=body.replace('"values":{"load":7}', '"values":{"load":-7}'))

    await console.page.route("**/graphql", spoil)
    await console.form.get_by_label("load").fill("7")
    await console.submit()
    field = console.form.locator(".field").filter(has=console.page.get_by_label("load"))
    await expect(field.locator(".bad")).to_contain_text("0", timeout=PATIENCE_MS)
    await expect(console.form.get_by_label("load")).to_have_attribute("aria-invalid", "true")
    assert (await world.saga(saga.id)).state == FORM, "nothing was moved"


async def test_a_pause_is_confirmed_and_taken_back(console: Console, world: World, saga: Saga) -> None:
    await console.act("Pause", "Pause")
    await expect(console.status).to_have_text("Paused", timeout=PATIENCE_MS)
    await console.act("Resume", "Resume")
    await expect(console.status).to_have_text("Needs input", timeout=PATIENCE_MS)
    assert (await world.saga(saga.id)).status is SagaStatus.AWAITING_INPUT


async def test_cancelling_says_first_what_would_be_undone(console: Console, world: World, saga: Saga) -> None:
    await console.page.get_by_role("button", name="Cancel the saga").click()
    dialog = console.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Hydrate condenser_input.json")
    await console.visit.photograph()
    await dialog.get_by_role("button", name="Keep it as it is").click()
    assert (await world.saga(saga.id)).status is SagaStatus.AWAITING_INPUT, "looking at it cancels nothing"
    await console.act("Cancel the saga", "Cancel the saga")
    await expect(console.status).to_have_text("Cancelled", timeout=PATIENCE_MS)
    await expect(console.journal).to_contain_text("Undone", timeout=PATIENCE_MS)


async def test_a_failed_calculation_goes_back_to_the_form(console: Console, world: World, saga: Saga) -> None:
    await console.form.get_by_label("load").fill("8")
    await console.submit()
    task = await world.published(saga.id, "condenser")
    world.publisher.finish(task, TaskReport(TaskState.FAILED, error="load: no turbine has so much"))
    await world.pushed(saga.branch)
    await expect(console.page.get_by_role("alert")).to_contain_text("CALCULATION_FAILED", timeout=PATIENCE_MS)
    await expect(console.page.get_by_role("alert")).to_contain_text("no turbine has so much")
    await console.visit.photograph()
    await console.page.get_by_role("button", name="Retry").click()
    dialog = console.page.get_by_role("dialog")
    await dialog.get_by_label(re.compile("Back to an earlier step.*Fill in the form")).check()
    await dialog.get_by_role("button", name="Retry").click()
    await expect(console.form.get_by_label("load")).to_have_value("8", timeout=PATIENCE_MS)
    assert (await world.saga(saga.id)).status is SagaStatus.AWAITING_INPUT


async def test_the_service_speaks_the_language_of_the_page(console: Console, world: World, saga: Saga) -> None:
    await console.page.locator(".preferences summary").click()
    await console.page.get_by_label("Language").select_option("ru")
    await expect(console.link_state).to_have_text("На связи", timeout=PATIENCE_MS)
    await world.give(saga.id, "condenser")
    task = await world.published(saga.id, "condenser")
    world.publisher.finish(task, TaskReport(TaskState.FAILED, error="load: no turbine has so much"))
    await world.pushed(saga.branch)
    alert = console.page.get_by_role("alert")
    await expect(alert).to_contain_text("Расчёт condenser завершился ошибкой", timeout=PATIENCE_MS)
    await console.page.get_by_label("Язык").select_option("en")
    await expect(alert).to_contain_text("The calculation condenser failed", timeout=PATIENCE_MS)


async def test_a_saga_that_is_not_there_is_said_so(console: Console) -> None:
    await console.page.goto("/sagas/U2FnYTowMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDA=")
    await expect(console.heading("There is no such saga")).to_be_visible(timeout=PATIENCE_MS)

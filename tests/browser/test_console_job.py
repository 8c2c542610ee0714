"""The whole job as an engineer clicks it, on the real demo: issue, both forms, results, merge request."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psutil
import pytest
from playwright.async_api import expect

from tests.browser import needs
from tests.browser.axe import violations
from tests.browser.console import Console
from tests.browser.visit import Visit, browsing
from tests.demo.stack import RunningDemo, running_demo

pytestmark = [
    needs.CHROMIUM,
    needs.CONSOLE,
    pytest.mark.demo,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("console job"),
]
SLOW_MS = 90_000
"""A machine under load, with a process that has just been killed."""

Meanwhile = Callable[[], Awaitable[None]]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


async def nothing() -> None:
    """An undisturbed job."""


async def job(demo: RunningDemo, visit: Visit, meanwhile: Meanwhile = nothing) -> dict[str, Any]:
    """Click through one job; `meanwhile` happens right after the first form was sent. Returns its saga's row."""
    issue = demo.new_job()
    console, page = Console(visit), visit.page
    await page.goto("/issues")
    row = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=re.compile(f"^#{issue.iid} ")))
    await row.get_by_role("button", name="Start calculation").click(timeout=SLOW_MS)
    await expect(console.form).to_contain_text("Condenser: input", timeout=SLOW_MS)
    await console.form.get_by_label("Geometry").select_option("titanium-28x0.7")
    await console.form.get_by_label("Inlet temperature").fill("18")
    await visit.photograph("form")
    await console.submit()
    await meanwhile()
    await expect(console.form).to_contain_text("Feedwater heaters: input", timeout=SLOW_MS)
    await console.submit()
    await expect(console.status).to_have_text("Completed", timeout=SLOW_MS)
    results = page.locator(".results")
    await expect(results).to_contain_text("Condenser pressure")
    await expect(results.locator(".figures")).to_contain_text(re.compile(r"Power\s*29\d\.?\d* MW"))
    await results.scroll_into_view_if_needed()
    await results.evaluate("place => place.scrollIntoView({block: 'start'})")
    await visit.photograph("results")
    await console.act("Create merge request", "Create merge request")
    await expect(page.get_by_role("link", name=re.compile("^Merge request !"))).to_be_visible(timeout=SLOW_MS)
    saga_id = unquote(page.url.rsplit("/", 1)[1])
    journal = [int(number) for number in await console.journal.locator(".version").all_inner_texts()]
    assert journal == list(range(len(journal), 0, -1)), "the journal has neither a gap nor a double"
    return {"id": saga_id, "branch": await page.locator(".facts .mono").inner_text()}


def assert_done_once(demo: RunningDemo, branch: str, folder: Path) -> None:
    """Each commit, task and merge request of the job exists exactly once, with the values that were entered."""
    clone = demo.clone(branch, folder)
    steps = Counter(step for step in clone.trailers("Saga-Step") if step)
    assert set(steps.values()) == {1}, steps
    given = clone.document("condenser_input.json")
    assert (given["geometry"], given["cooling_water"]["inlet_temperature_c"]) == ("titanium-28x0.7", 18)
    (saga,) = demo.rows("SELECT id FROM saga WHERE branch = %s AND definition_name = 'balance'", branch)
    tasks = demo.rows("SELECT calculation, status FROM calculation_task WHERE saga_id = %s", *saga)
    assert sorted(tasks) == [("balance", "SUCCEEDED"), ("condenser", "SUCCEEDED"), ("feedwater_heaters", "SUCCEEDED")]
    project = demo.gitlab().projects.get("power/plant-300")
    assert len(project.mergerequests.list(source_branch=branch, get_all=True)) == 1


async def test_an_engineer_clicks_through_the_whole_job(demo: RunningDemo, tmp_path: Path) -> None:
    async with browsing(demo.endpoints()["console"].rstrip("/"), name="job") as visit:
        done = await job(demo, visit)
        assert await violations(visit.page) == []
        await visit.page.evaluate("document.querySelector('main').scrollTo(0, 0)")
        await visit.photograph("saga")
        await visit.page.goto("/issues")
        await expect(visit.page.get_by_role("listitem").filter(has_text="Completed").first).to_be_visible()
        await visit.photograph("issues")
        await visit.page.emulate_media(color_scheme="dark")
        await visit.page.goto("/sagas")
        await expect(Console(visit).rows.filter(has_text="Completed")).to_have_count(1)
        await expect(Console(visit).link_state).to_have_text("Live")
        await visit.photograph("list")
        await visit.page.set_viewport_size({"width": 390, "height": 780})
        await Console(visit).rows.first.get_by_role("link").click()
        await expect(Console(visit).status).to_have_text("Completed")
        await visit.photograph("phone")
        assert visit.trouble == []
    assert_done_once(demo, done["branch"], tmp_path / "clone")


async def test_the_job_survives_a_killed_api_and_a_cut_network(demo: RunningDemo, tmp_path: Path) -> None:
    async with browsing(demo.endpoints()["console"].rstrip("/"), name="job_disturbed") as visit:
        console = Console(visit)

        async def meanwhile() -> None:
            psutil.Process(demo.pid("api")).kill()
            await expect(console.link_state).to_have_text("No connection; trying again", timeout=SLOW_MS)
            await visit.photograph("api-away")
            await expect(console.link_state).to_have_text("Live", timeout=SLOW_MS)
            await visit.page.context.set_offline(True)
            await expect(console.link_state).to_have_text("No connection; trying again", timeout=SLOW_MS)
            await expect(visit.page.get_by_text("What you see may be out of date")).to_be_visible(timeout=SLOW_MS)
            await visit.photograph("stale")
            await visit.page.context.set_offline(False)
            await expect(console.link_state).to_have_text("Live", timeout=SLOW_MS)

        done = await job(demo, visit, meanwhile)
    assert_done_once(demo, done["branch"], tmp_path / "clone")

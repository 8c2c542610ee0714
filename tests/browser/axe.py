"""axe-core, the accessibility checker, run in a page. It is a development dependency of the console's build."""

from typing import Any

from playwright.async_api import Page

from app import explorer

SCRIPT = explorer.CONSOLE_BUILD.parent / "node_modules" / "axe-core" / "axe.min.js"
STANDARD = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def violations(page: Page) -> list[str]:
    """What axe finds against WCAG 2.2 AA and good practice, each with the first element that it means."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    found: dict[str, Any] = await page.evaluate("tags => axe.run(document, {runOnly: tags})", STANDARD)
    return [
        f"{entry['id']}: {entry['help']} ({len(entry['nodes'])}) {entry['nodes'][0]['html'][:200]} "
        f"{entry['nodes'][0].get('failureSummary', '')[:300]}"
        for entry in found["violations"]
    ]

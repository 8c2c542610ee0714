"""docs/operations.md and docs/alerts.yml name what is there: metrics, labels, codes, headings, settings."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from app.settings import PREFIX, Settings
from app.telemetry.standing import StandingCollector
from sagas.models import SagaStatus
from sagas.store.standing import Backlog, Standing
from sagas.use_cases.stuck import StuckReason
from tests.telemetry.told import Told
from tests.world import World

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ALERTS = yaml.safe_load((ROOT / "docs" / "alerts.yml").read_text(encoding="utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
QUERIES = re.findall(r"^\| [^|]+ \| `((?:sum|max|histogram)[^`]*)` \|$", PAGE, re.MULTILINE)
NAMED = re.compile(r"(orchestrator_[a-z_]+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"by \(([^)]*)\)")
CODE = re.compile(r'(?:TerminalError|EndedByHandError|RetryableError|UnknownOutcomeError)\(\s*"([A-Z_]+)"')
CONSTANT = re.compile(r'^(?:    )?[A-Z_]+ = "([A-Z_]+)"$', re.MULTILINE)


class Hub:
    def lag_s(self) -> float:
        return 0.0


@pytest.fixture
def families(told: Told, world: World) -> dict[str, set[str]]:
    """Every metric by the name that a query uses, and its labels."""
    assert told.telemetry.metrics is not None
    collector = StandingCollector(world.database, Hub())
    nothing = Backlog(0, 0.0)
    collector._seen = Standing(dict.fromkeys(SagaStatus, 0), nothing, nothing)
    collector._stuck = dict.fromkeys(StuckReason, 0)
    found: dict[str, set[str]] = {}
    for instrument in vars(told.telemetry.metrics).values():
        labels = set(getattr(instrument, "_labelnames", ()))
        for family in getattr(instrument, "describe", list)():
            names = [family.name + "_total"] if family.type == "counter" else [family.name]
            names += [family.name + "_bucket"] if family.type == "histogram" else []
            found |= {name: labels | ({"le"} if name.endswith("_bucket") else set()) for name in names}
    for family in collector.collect():
        found[family.name] = {label for sample in family.samples for label in sample.labels}
    return found | {"orchestrator_build_info": {"version"}}


async def test_the_page_lists_every_metric_with_its_labels(families: dict[str, set[str]]) -> None:
    listed = {
        name: set(re.findall(r"`([a-z]+)`", labels))
        for name, labels in re.findall(r"^\| `(orchestrator_[a-z_]+)` \| ([^|]*) \|", PAGE, re.MULTILINE)
    }
    told = {name: labels for name, labels in families.items() if not name.endswith("_bucket")}
    assert listed == {name: labels for name, labels in told.items() if name.startswith("orchestrator_")}


async def test_alerts_and_panels_ask_for_metrics_and_labels_that_there_are(families: dict[str, set[str]]) -> None:
    assert len(RULES) > 8
    assert len(QUERIES) > 8
    for expression in [rule["expr"] for rule in RULES] + QUERIES:
        asked = NAMED.findall(expression)
        assert asked, expression
        known: set[str] = set()
        for name, selector in asked:
            assert name in families, f"{name} in {expression}"
            labels = set(re.findall(r"([a-z]+)\s*(?:=~|!~|!=|=)", selector))
            assert labels <= families[name], expression
            known |= families[name]
        for grouped in GROUPED.findall(expression):
            assert set(re.split(r",\s*", grouped)) <= known, expression
        assert expression.count("(") == expression.count(")")


def test_every_alert_leads_to_its_part_of_the_runbook() -> None:
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^### (.+)$", PAGE, re.MULTILINE)}
    assert {rule["annotations"]["runbook"] for rule in RULES} <= headings
    assert all(rule["labels"]["severity"] in {"page", "ticket"} for rule in RULES)


def codes() -> Iterator[str]:
    for folder in ("sagas", "app", "gitlab/gitlab_facade", "schema"):
        for path in (ROOT / folder).rglob("*.py"):
            yield from CODE.findall(path.read_text(encoding="utf-8"))
    for name in ("sagas/errors.py", "gitlab/gitlab_facade/errors.py", "schema/errors.py", "schema/trusted.py"):
        text = (ROOT / name).read_text(encoding="utf-8")
        yield from CONSTANT.findall(text)


def test_the_page_tells_what_to_do_about_every_error_code() -> None:
    table = PAGE.partition("## Error codes")[2]
    told = {
        code
        for row in re.findall(r"^\| (`[A-Z_`, ]+`) \|", table, re.MULTILINE)
        for code in re.findall(r"[A-Z_]+", row)
    }
    assert told == {*codes(), "INVALID_MANIFEST"}


def test_settings_on_the_page_exist() -> None:
    named = set(re.findall(PREFIX + r"([A-Z_]+)", PAGE + (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")))
    assert named <= {name.upper() for name in Settings.model_fields}

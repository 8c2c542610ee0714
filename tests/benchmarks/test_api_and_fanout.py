"""The benchmarks of the API and of the fan-out run and print what they promise; how fast they are is nobody's business here."""

import json
import subprocess
import sys
from typing import Any

FIELDS = {"benchmark", "metric", "value", "unit", "floor", "ratio"}


def figures(*arguments: str) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "-m", *arguments, "--rounds", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(set(line) >= FIELDS for line in lines)
    return {line["metric"]: line for line in lines}


def test_every_subscriber_is_told_every_event() -> None:
    found = figures("tests.benchmarks.fanout", "--subscribers", "6", "--events-per-second", "20", "--seconds", "1")
    for what in ("one_saga", "many_sagas"):
        assert found[f"{what}_at_20_lost"]["value"] == 0
        assert found[f"{what}_at_20_delivered"]["value"] == 1
        assert found[f"{what}_at_20_p99_ms"]["value"] > 0
    assert found["deliveries_per_second"]["ratio"] > 0


def test_each_kind_of_request_has_its_figures_beside_both_floors() -> None:
    found = figures("tests.benchmarks.api", "--seconds", "0.1", "--connections", "2", "--sagas", "10")
    for what in ("saga_by_id", "page_of_50", "start", "advance"):
        assert found[f"{what}_per_second"]["ratio"] > 0
        assert found[f"{what}_per_second_to_strawberry_as_shipped"]["ratio"] > 0
        assert found[f"{what}_per_second_to_strawberry_by_a_newcomer"]["ratio"] > 0
        assert found[f"{what}_p99_ms"]["floor"] > 0

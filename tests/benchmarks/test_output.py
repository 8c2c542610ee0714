"""The benchmarks run and print what they promise; how fast they are is nobody's business here."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.benchmarks.report import less_is_better, more_is_better, percentile

FIELDS = {"benchmark", "metric", "value", "unit", "floor", "ratio"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments, "--rounds", "1"], capture_output=True, text=True, timeout=100, check=False
    )


def figures(*arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(set(line) == FIELDS for line in lines)
    return {(line["benchmark"], line["metric"]): line for line in lines}


def test_all_benchmarks_print_a_json_object_per_figure_and_lose_no_saga() -> None:
    found = figures("tests.benchmarks", "--sagas", "6", "--in-flight", "3")
    for figure in (("engine", "sagas_per_second"), ("latency", "p50_ms"), ("latency", "p99_ms")):
        line = found[figure]
        assert all(isinstance(line[field], float) and line[field] > 0 for field in ("value", "floor", "ratio"))
    assert found["engine", "lost"]["value"] == 0
    assert found["engine", "transactions_per_saga"]["value"] != 0


def test_a_benchmark_alone_prints_a_table_for_people() -> None:
    done = run("tests.benchmarks.latency", "--sagas", "2")
    assert done.returncode == 0, done.stderr
    assert "p99_ms" in done.stdout
    assert "floor" in done.stdout


def test_no_sagas_at_all_are_refused_by_name() -> None:
    done = run("tests.benchmarks.engine", "--sagas", "0")
    assert done.returncode == 2
    assert "--sagas: must be at least 1" in done.stderr


def test_a_ratio_above_one_is_better_than_the_floor_either_way() -> None:
    assert more_is_better("b", "m", [20.0], "1/s", [10.0]).ratio == 2
    assert less_is_better("b", "m", [20.0], "ms", [10.0]).ratio == 0.5


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_a_percentile_is_a_measured_value(share: float, expected: int) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], share) == expected

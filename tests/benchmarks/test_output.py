"""The benchmarks run and print what they promise; how fast they are is nobody's business here."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.benchmarks.report import less_is_better, more_is_better, percentile

pytestmark = pytest.mark.timeout(450)

FIELDS = {"benchmark", "metric", "value", "unit", "floor", "ratio"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=420, check=False)


def figures(*arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    done = run(*arguments, "--rounds", "1", "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(set(line) == FIELDS for line in lines)
    return {(line["benchmark"], line["metric"]): line for line in lines}


@pytest.mark.parametrize(
    ("name", "few", "compared"),
    [
        ("engine", ("--sagas", "6", "--in-flight", "3"), ("sagas_per_second", "transactions_per_saga", "cpu_per_saga")),
        ("latency", ("--sagas", "3"), ("p50_ms", "p99_ms")),
        ("recovery", ("--sagas", "2"), ("seconds", "seconds_killed_at_work")),
        ("history", ("--sagas", "4", "--scale", "50"), ("sagas_per_second", "p99_ms")),
    ],
)
def test_a_benchmark_prints_a_json_object_per_figure_and_loses_no_saga(
    name: str, few: tuple[str, ...], compared: tuple[str, ...]
) -> None:
    found = figures(f"tests.benchmarks.{name}", *few)
    for metric in compared:
        line = found[name, metric]
        assert all(isinstance(line[field], float) and line[field] > 0 for field in ("value", "floor", "ratio")), line
    if name != "latency":
        assert found[name, "lost"]["value"] == 0


def test_a_benchmark_that_is_not_there_is_refused_with_those_that_are() -> None:
    done = run("tests.benchmarks", "speed")
    assert done.returncode == 2
    assert "'speed'" in done.stderr
    assert "history" in done.stderr


def test_a_benchmark_alone_prints_a_table_for_people() -> None:
    done = run("tests.benchmarks.latency", "--sagas", "2", "--rounds", "1")
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

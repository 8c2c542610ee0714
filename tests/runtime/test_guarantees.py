"""docs/guarantees.md promises nothing that no test shows; docs/faults.md names what there is, and its faults are accepted."""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest
from graphql import GraphQLEnumType, build_schema

from gitlab_emulator.faults import FaultTable
from gitlab_emulator.parameters import Parameters
from sagas.faults import ENVIRONMENT_VARIABLE, POINTS, STOP_VARIABLE
from schema.step import ERROR_CODES
from tests.chaos.__main__ import options

ROOT = Path(__file__).parents[2]
GUARANTEES = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
FAULTS = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", GUARANTEES + FAULTS)))


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: Path(part).stem)
def test_every_test_that_a_guarantee_names_is_there(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert name in {function.name for function in functions}


def rows(text: str) -> list[list[str]]:
    """The cells of every table's rows, without heads."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [cells for cells in lines if not set(cells[0]) <= {"-"}]


def test_every_row_of_the_failure_matrix_names_its_test() -> None:
    matrix = [cells for cells in rows(GUARANTEES) if len(cells) == 4 and cells[0] != "what breaks"]
    assert len(matrix) >= 18
    assert [cells[0] for cells in matrix if "::" not in cells[3]] == []


def test_every_code_that_is_told_of_is_one_of_the_apis() -> None:
    told = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", GUARANTEES))
    api = build_schema((ROOT / "schema" / "schema.graphql").read_text(encoding="utf-8"))
    refusals = api.type_map["UserErrorCode"]
    assert isinstance(refusals, GraphQLEnumType)
    known = {*ERROR_CODES.split(), *refusals.values}
    assert told - known <= {"UNDO_REFUSED"}
    assert {"BRANCH_DELETED", "INPUT_CHANGED", "MERGE_REQUEST_CLOSED"} <= told


def test_every_fault_of_the_fault_kit_is_accepted_by_the_emulator() -> None:
    bodies = re.findall(r"^fault '(.*)'", FAULTS, re.MULTILINE)
    assert len(bodies) >= 5
    for body in bodies:
        FaultTable().add(Parameters(json.loads(body)))


def test_the_fault_kit_lists_every_crash_point_by_its_place() -> None:
    places = {cells[0].strip("`") for cells in rows(FAULTS) if len(cells) == 2} - {"place"}
    assert {f"{place}.{side}" for place in places for side in ("before", "after")} == set(POINTS)
    armed = re.findall(r"(?:CRASH|STOP)_AT=([\w.]+)", FAULTS)
    assert armed
    assert set(armed) <= set(POINTS)
    assert {ENVIRONMENT_VARIABLE, STOP_VARIABLE} <= set(re.findall(r"ORCHESTRATOR_\w+_AT", FAULTS))


def test_every_run_of_the_fault_kit_is_one_that_chaos_takes() -> None:
    runs = re.findall(r'make chaos ARGS="([^"]*)"', FAULTS)
    assert runs
    for given in runs:
        options(shlex.split(given))

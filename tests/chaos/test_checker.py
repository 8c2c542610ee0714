"""The checker is proven by what it finds: nothing in a run that is in order, and each lie that is planted in one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import checker
from tests.chaos.checker import RULES, violations
from tests.chaos.plants import lies
from tests.chaos.plants.choosing import Lie
from tests.chaos.small_history import small_history

CHECKER = Path(checker.__file__).parent
PRODUCT = {"app", "schema", "sagas", "gitlab_facade", "gitlab_emulator"}


def test_a_run_in_which_every_promise_held_has_no_violation() -> None:
    assert violations(small_history()) == []


@pytest.mark.parametrize(("rule", "lie"), [pytest.param(rule, lie, id=lie.__name__) for rule, lie in lies()])
def test_each_planted_violation_is_found_by_its_rule(rule: str, lie: Lie) -> None:
    evidence = small_history()
    lie(evidence)
    assert [found for found in violations(evidence) if found.startswith(f"{rule}: ")]


def test_every_rule_has_a_planted_violation() -> None:
    assert {rule for rule, _ in lies()} == set(RULES)


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_checker_imports_nothing_that_it_judges() -> None:
    files = [*CHECKER.glob("*.py"), *(CHECKER.parent / name for name in ("evidence.py", "sources.py", "history.py"))]
    assert len(files) > 8
    for file in files:
        assert not {name.partition(".")[0] for name in imported(file.read_text())} & PRODUCT, file.name

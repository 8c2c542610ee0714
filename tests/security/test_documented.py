"""docs/security.md names a test for each attack, and each of them exists."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| attack", "| ---"))]
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def test_each_attack_names_a_test() -> None:
    assert len(ROWS) > 30
    assert [row for row in ROWS if not NAMED.search(row)] == []


def test_each_named_test_exists() -> None:
    missing = [f"{path}::{name}" for path, name in NAMED.findall(PAGE) if name not in _functions(TESTS / path)]
    assert missing == [], "docs/security.md promises what no test shows"


def _functions(path: Path) -> set[str]:
    if not path.is_file():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}

"""An outcome trusts the row that its step knew, but for what changes without a journal entry: that list is complete."""

import ast
import re
from pathlib import Path

from sagas.store.unchanged import UNVERSIONED

STORE = Path(__file__).parents[2] / "sagas" / "store"
UPDATE = re.compile(r"UPDATE saga\s+SET\s(.*?)(?:\bFROM\b|\bWHERE\b|\Z)", re.DOTALL)


def texts(path: Path) -> list[str]:
    """The SQL of a module, as far as it stands in plain text."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_every_column_that_is_written_without_a_version_is_read_again_under_the_lock() -> None:
    written = set()
    for path in STORE.glob("*.py"):
        for text in texts(path):
            for assignments in UPDATE.findall(text):
                columns = re.findall(r"(?:^|,)\s*(\w+)\s*=", assignments)
                if "version" not in columns:
                    written.update(columns)
    assert {"due_at", "signals"} <= written, "the statements are no longer found by this test"
    assert written <= set(UNVERSIONED)

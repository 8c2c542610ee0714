"""One statement for rows of several tables, so that a transaction takes as few round trips as it can."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlmodel import SQLModel

from sagas.store.rows import as_columns, rows_of


class Part(NamedTuple):
    """What the statement does to one table, with the rows that it is given for it."""

    name: str
    """By which the statement's answer can refer to what the part returns."""
    table: type[SQLModel]
    columns: tuple[str, ...]
    """Of each row given."""
    sql: str
    """Where the rows come in it stands `{rows}`; each is called `new`."""


class Statement:
    """A statement that grows by parts; each sees the tables as they were before all of them."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.arguments: list[Sequence[Any]] = []

    def add(self, part: Part, rows: Sequence[tuple[Any, ...]]) -> None:
        """Have these rows written; nothing where there are none."""
        if rows:
            self.parts.append(part)
            self.arguments.extend(as_columns(rows, part.columns))

    def text(self, answer: str = "") -> str:
        """Its text; `answer` is a SELECT from what the parts return, where anything is to be known."""
        return _statement(tuple(self.parts), answer or "SELECT")


@cache
def _statement(parts: tuple[Part, ...], answer: str) -> str:
    # Kept, because there are few, and a driver knows a prepared statement by its text.
    done, after = [], 0
    for part in parts:
        rows = rows_of(part.table, part.columns, name="new", after=after)
        done.append(f"{part.name} AS ({part.sql.replace('{rows}', rows)})")
        after += len(part.columns)
    return f"WITH {', '.join(done)} {answer}"


def insert(table: str, columns: Sequence[str]) -> str:
    """A part's text that adds its rows to the table."""
    values = ", ".join(f"new.{name}" for name in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {{rows}}"

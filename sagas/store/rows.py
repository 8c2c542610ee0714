"""Between asyncpg's records and the models: one place that knows the columns."""

from collections.abc import Callable, Sequence
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import Any

import asyncpg
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, dialect
from sqlmodel import SQLModel

from sagas.change import COLUMNS
from sagas.models import CalculationTask, Draft, Saga, SagaStatus, TaskStatus, Wanted
from sagas.store.database import dump

TASK_COLUMNS: tuple[str, ...] = tuple(column.name for column in CalculationTask.__table__.columns)  # type: ignore[attr-defined]  # set by SQLModel's metaclass
DRAFT_COLUMNS: tuple[str, ...] = tuple(column.name for column in Draft.__table__.columns)  # type: ignore[attr-defined]  # as above

_saga_values = itemgetter(*COLUMNS)
_POSTGRESQL: Dialect = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


def to_saga(record: asyncpg.Record) -> Saga:
    """A saga's row, enums and all."""
    saga = Saga(**dict(zip(COLUMNS, _saga_values(record), strict=True)))
    saga.status = SagaStatus(saga.status)
    saga.wanted = None if saga.wanted is None else Wanted(saga.wanted)
    return saga


def to_task(record: asyncpg.Record) -> CalculationTask:
    """A task's row as the model."""
    values = {name: record[name] for name in TASK_COLUMNS}
    values["status"] = TaskStatus(values["status"])
    return CalculationTask(**values)


def to_draft(record: asyncpg.Record) -> Draft:
    """A draft's row as the model."""
    return Draft(**{name: record[name] for name in DRAFT_COLUMNS})


def db_now(record: asyncpg.Record) -> datetime:
    """The database's time, as selected beside the row."""
    now: datetime = record["db_now"]
    return now


def rows_of(table: type[SQLModel], names: Sequence[str], *, name: str, after: int = 0) -> str:
    """`(…) AS name`: rows of these columns of the table, from as many parameters, each an array with a value per row.

    What is no plain value comes as JSON in text. The first parameter is the one that follows number `after`. A name that
    begins with `was_` is of the type of the column without it: what a row is expected to have.
    """
    types = {column.name: column.type for column in table.__table__.columns}  # type: ignore[attr-defined]  # as above
    arrays, read = [], []
    for place, column in enumerate(names, start=after + 1):
        kind = types[column.removeprefix("was_")]
        if isinstance(kind, ARRAY):
            read.append(f"ARRAY(SELECT jsonb_array_elements_text({column}::jsonb)) AS {column}")
        elif isinstance(kind, JSONB):
            read.append(f"{column}::jsonb AS {column}")
        else:
            read.append(column)
        given = "text" if isinstance(kind, ARRAY | JSONB) else kind.compile(dialect=_POSTGRESQL)
        arrays.append(f"${place}::{given}[]")
    return f"(SELECT {', '.join(read)} FROM unnest({', '.join(arrays)}) AS given ({', '.join(names)})) AS {name}"


def as_columns(rows: Sequence[tuple[Any, ...]], names: Sequence[str]) -> Sequence[Sequence[Any]]:
    """The rows as the parameters of `rows_of`."""
    return list(zip(*rows, strict=True)) if rows else [()] * len(names)


def to_row(table: type[SQLModel], names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """What takes these columns' values of the table from one of its objects, for `rows_of`."""
    values = attrgetter(*names)
    types = {column.name: column.type for column in table.__table__.columns}  # type: ignore[attr-defined]  # as above
    documents = [place for place, name in enumerate(names) if isinstance(types[name], ARRAY | JSONB)]

    def row(of: Any) -> tuple[Any, ...]:
        found = list(values(of))
        for place in documents:
            if found[place] is not None:
                found[place] = dump(found[place])
        return tuple(found)

    return row

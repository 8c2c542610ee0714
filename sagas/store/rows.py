"""Between asyncpg's records and the models: one place that knows the columns."""

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter

import asyncpg

from sagas.change import COLUMNS
from sagas.models import CalculationTask, Draft, Saga, SagaStatus, TaskStatus, Wanted

TASK_COLUMNS: tuple[str, ...] = tuple(column.name for column in CalculationTask.__table__.columns)  # type: ignore[attr-defined]  # set by SQLModel's metaclass

_saga_values = itemgetter(*COLUMNS)


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
    return Draft(**dict(record))


def db_now(record: asyncpg.Record) -> datetime:
    """The database's time, as selected beside the row."""
    now: datetime = record["db_now"]
    return now


def placeholders(columns: Sequence[str]) -> str:
    """`$1, $2, …` for the columns."""
    return ", ".join(f"${place}" for place in range(1, len(columns) + 1))

"""Rows for tests of the read side: keyword factories over the models, with what does not matter filled in."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from sagas.models import (
    CalculationTask,
    Draft,
    EventType,
    Saga,
    SagaDefinitionRow,
    SagaEvent,
    SagaRow,
    SagaStatus,
    TaskStatus,
)

EPOCH = datetime(2026, 1, 1, 12, tzinfo=UTC)


def definition(name: str = "balance", version: int = 1) -> SagaDefinitionRow:
    return SagaDefinitionRow(name=name, version=version, hash=f"{name}{version}", document={"name": name})


def saga(*, minute: float = 0, **changes: Any) -> Saga:
    """A saga created so many minutes after the epoch."""
    at = EPOCH + timedelta(minutes=minute)
    row: dict[str, Any] = {
        "id": uuid4(),
        "definition_name": "balance",
        "definition_version": 1,
        "state": "AWAIT_USER_CONDENSER_INPUT",
        "visit": 1,
        "status": SagaStatus.AWAITING_INPUT,
        "version": 1,
        "project_id": 7,
        "project_path": "power/plant",
        "branch": "issue/42",
        "natural_key": "key",
        "started_by_id": 1,
        "started_by": {"id": 1, "username": "anna", "name": "Anna Petrova"},
        "created_at": at,
        "updated_at": at,
    }
    return Saga(**{**row, **changes})


def event(of: Saga, version: int, type_: EventType = EventType.ENTERED) -> SagaEvent:
    return SagaEvent(
        saga_id=of.id, version=version, type=type_, to_state=of.state, status=of.status, actor="engine", data={}
    )


def task(of: Saga, *, minute: float = 0, **changes: Any) -> CalculationTask:
    row: dict[str, Any] = {
        "id": uuid4(),
        "saga_id": of.id,
        "state": "DISPATCH_CONDENSER",
        "visit": 1,
        "calculation": "condenser",
        "status": TaskStatus.QUEUED,
        "name": "balance.calculate_condenser",
        "queue": "balance.calculations",
        "project_id": of.project_id,
        "repo_url": "http://gitlab.test/power/plant.git",
        "branch": of.branch,
        "commit_hash": "c0ffee",
        "input_files": ["condenser_input.json"],
        "output_file": "condenser_output.json",
        "input_blobs": {},
        "created_at": EPOCH + timedelta(minutes=minute),
    }
    return CalculationTask(**{**row, **changes})


def draft(of: Saga, *, visit: int = 1, state: str | None = None, document: Any = None) -> Draft:
    return Draft(
        saga_id=of.id, state=state or of.state, visit=visit, document=document or {"visit": visit}, changed_at_version=1
    )


async def insert(engine: AsyncEngine, rows: Iterable[SQLModel | Saga]) -> None:
    """Write the rows, those that others refer to first."""
    order: list[type[SQLModel]] = [SagaDefinitionRow, SagaRow, SagaEvent, CalculationTask, Draft]
    models = [SagaRow(**asdict(row)) if isinstance(row, Saga) else row for row in rows]
    async with AsyncSession(engine, expire_on_commit=False) as session:
        for row in sorted(models, key=lambda model: order.index(type(model))):
            session.add(row)
            await session.flush()
        await session.commit()

"""Writing decisions: the saga's row, its journal, drafts, tasks and inbox, together in the caller's transaction."""

from collections.abc import Iterable, Sequence
from typing import Any

from sagas.change import COLUMNS, Change, DraftRow, NewEvent
from sagas.models import CalculationTask, Saga
from sagas.results import TaskChange
from sagas.store.database import Connection
from sagas.store.rows import TASK_COLUMNS, placeholders

_UNCHANGING = frozenset(
    {"id", "definition_name", "definition_version", "project_id", "issue_iid", "branch", "writes"}
    | {"natural_key", "started_by_id", "started_by", "created_at"}
)
_KEPT_BY_WATCHER = frozenset({"signals"})
"""Counted by signals alone; a decision must never set it back."""
_UPDATED = tuple(name for name in COLUMNS if name not in _UNCHANGING | _KEPT_BY_WATCHER)

_UPDATE_SAGA = (
    "UPDATE saga SET "
    + ", ".join(f"{name} = ${place}" for place, name in enumerate(_UPDATED, start=2))
    + " WHERE id = $1"
)
_INSERT_SAGA = f"INSERT INTO saga ({', '.join(COLUMNS)}) VALUES ({placeholders(COLUMNS)})"
_INSERT_EVENT = """
INSERT INTO saga_event (saga_id, version, type, from_state, to_state, status, actor, data, occurred_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_UPSERT_DRAFT = """
INSERT INTO draft (saga_id, state, visit, document, blob_id, changed_at_version) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (saga_id, state, visit) DO UPDATE
SET document = excluded.document, blob_id = excluded.blob_id, changed_at_version = excluded.changed_at_version
"""
_NEW_TASK = tuple(name for name in TASK_COLUMNS if name != "created_at")
_INSERT_TASK = f"INSERT INTO calculation_task ({', '.join(_NEW_TASK)}) VALUES ({placeholders(_NEW_TASK)})"
_UPDATE_TASK = """
UPDATE calculation_task SET
    status = $2,
    published_at = CASE WHEN $3 THEN coalesce(published_at, clock_timestamp()) ELSE published_at END,
    finished_at = CASE WHEN $4 THEN clock_timestamp() ELSE finished_at END,
    input_blobs = coalesce($5, input_blobs),
    output_blob = coalesce($6, output_blob),
    output_commit = coalesce($7, output_commit),
    result = coalesce($8, result),
    error = $9,
    commit_hash = coalesce($10, commit_hash)
WHERE id = $1
"""
_CONSUME = "UPDATE signal SET consumed_at = clock_timestamp() WHERE id = ANY($1::uuid[]) AND consumed_at IS NULL"


_STANDS = "SELECT EXISTS (SELECT FROM saga_event WHERE saga_id = $1 AND version = $2 AND occurred_at = $3)"


async def stand(connection: Connection, changes: Iterable[Change]) -> bool:
    """Whether these changes, made in one transaction whose COMMIT was not answered, are in the journal.

    Known by an entry's version together with its time: both were taken under the row's lock, so nobody else has them.
    Changes without an entry cannot be told, and must bear being made again.
    """
    told = next((change for change in changes if change.events), None)
    if told is None:
        return False
    return bool(await connection.fetchval(_STANDS, told.saga.id, told.saga.version, told.now))


async def write(connection: Connection, changes: Sequence[Change]) -> None:
    """Write decisions of rows that the caller has locked; each statement goes out once for all of them."""
    sagas = [change.finish() for change in changes]
    await connection.executemany(_UPDATE_SAGA, [_update_arguments(saga) for saga in sagas])
    await _write_rest(connection, changes)


async def insert(connection: Connection, change: Change) -> None:
    """Write a saga that is new."""
    saga = change.finish()
    await connection.execute(_INSERT_SAGA, *[getattr(saga, name) for name in COLUMNS])
    await _write_rest(connection, [change])


async def _write_rest(connection: Connection, changes: Sequence[Change]) -> None:
    await connection.executemany(
        _INSERT_EVENT, [_event_arguments(event, change) for change in changes for event in change.events]
    )
    drafts = [draft for change in changes for draft in change.drafts]
    if drafts:
        await connection.executemany(_UPSERT_DRAFT, [_draft_arguments(draft) for draft in drafts])
    new_tasks = [task for change in changes for task in change.new_tasks]
    if new_tasks:
        await connection.executemany(_INSERT_TASK, [_task_arguments(task) for task in new_tasks])
    task_changes = [task for change in changes for task in change.tasks]
    if task_changes:
        await connection.executemany(_UPDATE_TASK, [_task_change_arguments(task) for task in task_changes])
    consumed = [identity for change in changes for identity in change.consumed]
    if consumed:
        await connection.execute(_CONSUME, consumed)


def _update_arguments(saga: Saga) -> list[Any]:
    return [saga.id, *[getattr(saga, name) for name in _UPDATED]]


def _event_arguments(event: NewEvent, change: Change) -> tuple[Any, ...]:
    return (
        event.saga_id,
        event.version,
        event.type,
        event.from_state,
        event.to_state,
        event.status,
        event.actor,
        event.data,
        change.now,
    )


def _draft_arguments(row: DraftRow) -> tuple[Any, ...]:
    return (row.saga_id, row.state, row.visit, row.draft.document, row.draft.blob_id, row.changed_at_version)


def _task_arguments(task: CalculationTask) -> list[Any]:
    return [getattr(task, name) for name in _NEW_TASK]


def _task_change_arguments(task: TaskChange) -> tuple[Any, ...]:
    return (
        task.task_id,
        task.status,
        task.published,
        task.finished,
        None if task.input_blobs is None else dict(task.input_blobs),
        task.output_blob,
        task.output_commit,
        None if task.result is None else dict(task.result),
        task.error,
        task.commit_hash,
    )

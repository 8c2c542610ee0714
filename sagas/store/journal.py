"""Writing decisions: the saga's row, its journal, drafts, tasks and inbox, together in the caller's transaction."""

from collections.abc import Iterable, Sequence
from typing import Any

from sagas.change import COLUMNS, Change, DraftRow
from sagas.models import CalculationTask, SagaEvent, SagaRow
from sagas.results import TaskChange
from sagas.store.database import Connection, dump
from sagas.store.rows import TASK_COLUMNS, as_columns, placeholders, rows_of, to_row

_UNCHANGING = frozenset(
    {"id", "definition_name", "definition_version", "project_id", "project_path", "issue_iid", "branch", "writes"}
    | {"natural_key", "started_by_id", "started_by", "created_at"}
)
_KEPT_BY_WATCHER = frozenset({"signals"})
"""Counted by signals alone; a decision must never set it back."""
_UPDATED = tuple(name for name in COLUMNS if name not in _UNCHANGING | _KEPT_BY_WATCHER)
_MOVED = ("id", *_UPDATED)
_EVENT = ("saga_id", "version", "type", "from_state", "to_state", "status", "actor", "data", "occurred_at")

# One statement for all rows and all entries, so that a decision costs one round trip, and many cost no more.
_MOVE = f"""
WITH moved AS (
    UPDATE saga SET {", ".join(f"{name} = new.{name}" for name in _UPDATED)}
    FROM {rows_of(SagaRow, _MOVED, name="new")} WHERE saga.id = new.id
)
INSERT INTO saga_event ({", ".join(_EVENT)})
SELECT {", ".join(_EVENT)} FROM {rows_of(SagaEvent, _EVENT, name="told", after=len(_MOVED))}
"""
_BEAR = f"""
WITH born AS (
    INSERT INTO saga ({", ".join(COLUMNS)})
    SELECT {", ".join(COLUMNS)} FROM {rows_of(SagaRow, COLUMNS, name="new")}
)
INSERT INTO saga_event ({", ".join(_EVENT)})
SELECT {", ".join(_EVENT)} FROM {rows_of(SagaEvent, _EVENT, name="told", after=len(COLUMNS))}
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
    sagas = [_moved(change.finish()) for change in changes]
    await connection.execute(_MOVE, *as_columns(sagas, _MOVED), *as_columns(_events(changes), _EVENT))
    await _write_rest(connection, changes)


async def insert(connection: Connection, changes: Sequence[Change]) -> None:
    """Write sagas that are new."""
    sagas = [_born(change.finish()) for change in changes]
    await connection.execute(_BEAR, *as_columns(sagas, COLUMNS), *as_columns(_events(changes), _EVENT))
    await _write_rest(connection, changes)


async def _write_rest(connection: Connection, changes: Sequence[Change]) -> None:
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


_moved = to_row(_MOVED)
_born = to_row(COLUMNS)


def _events(changes: Sequence[Change]) -> list[tuple[Any, ...]]:
    return [
        (
            event.saga_id,
            event.version,
            event.type,
            event.from_state,
            event.to_state,
            event.status,
            event.actor,
            dump(event.data),
            change.now,
        )
        for change in changes
        for event in change.events
    ]


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

"""Writing decisions: the saga's row, its journal, drafts, tasks and inbox, together in the caller's transaction."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sagas.change import COLUMNS, Change
from sagas.models import CalculationTask, Draft, SagaEvent, SagaRow
from sagas.results import TaskChange
from sagas.store.database import Connection, dump
from sagas.store.drafts import SUBMIT, Submission, submission_rows
from sagas.store.idempotency import HOW_MANY_KEPT, KEEP, UsedKey, key_rows
from sagas.store.rows import TASK_COLUMNS, to_row
from sagas.store.statement import Part, Statement, insert

_UNCHANGING = frozenset(
    {"id", "definition_name", "definition_version", "project_id", "project_path", "issue_iid", "branch", "writes"}
    | {"natural_key", "started_by_id", "started_by", "created_at"}
)
_KEPT_BY_WATCHER = frozenset({"signals"})
"""Counted by signals alone; a decision must never set it back."""
UPDATED = tuple(name for name in COLUMNS if name not in _UNCHANGING | _KEPT_BY_WATCHER)
MOVED = ("id", *UPDATED)
SET_MOVED = ", ".join(f"{name} = new.{name}" for name in UPDATED)
EVENT = ("saga_id", "version", "type", "from_state", "to_state", "status", "actor", "data", "occurred_at")
DRAFT = ("saga_id", "state", "visit", "document", "blob_id", "changed_at_version")
NEW_TASK = tuple(name for name in TASK_COLUMNS if name != "created_at")

_MOVE = Part("moved", SagaRow, MOVED, f"UPDATE saga SET {SET_MOVED} FROM {{rows}} WHERE saga.id = new.id")
_BEAR = Part("born", SagaRow, COLUMNS, insert("saga", COLUMNS))
_TELL = Part("told", SagaEvent, EVENT, insert("saga_event", EVENT))
UPDATE_DRAFT = """
ON CONFLICT (saga_id, state, visit) DO UPDATE
SET document = excluded.document, blob_id = excluded.blob_id, changed_at_version = excluded.changed_at_version
"""
_DRAW = Part("drafted", Draft, DRAFT, insert("draft", DRAFT) + UPDATE_DRAFT)
_QUEUE = Part("queued", CalculationTask, NEW_TASK, insert("calculation_task", NEW_TASK))
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


_STANDING = """
SELECT told.saga_id, told.version FROM unnest($1::uuid[], $2::int[], $3::timestamptz[]) AS told (saga_id, version, occurred_at)
JOIN saga_event AS event USING (saga_id, version, occurred_at)
"""


async def standing(connection: Connection, changes: Iterable[Change]) -> frozenset[tuple[UUID, int]]:
    """Which of these changes, made when a COMMIT was not answered, are in the journal: saga and version of each.

    Known by an entry's version together with its time, which nobody else's has. Changes without an entry cannot be told,
    and must bear being made again.
    """
    told = [(change.saga.id, change.saga.version, change.now) for change in changes if change.events]
    if not told:
        return frozenset()
    records = await connection.fetch(_STANDING, *zip(*told, strict=True))
    return frozenset((record["saga_id"], record["version"]) for record in records)


async def stand(connection: Connection, changes: Sequence[Change]) -> bool:
    """Whether these changes, made in one transaction whose COMMIT was not answered, are in the journal."""
    told = [change for change in changes if change.events][:1]
    return bool(await standing(connection, told))


async def write(
    connection: Connection,
    changes: Sequence[Change],
    *,
    born: Sequence[Change] = (),
    given: Sequence[Submission] = (),
    keys: Iterable[UsedKey] = (),
) -> bool:
    """Write decisions of rows that the caller has locked, sagas that are new, documents of users and idempotency keys.

    One statement for all of it, so that a decision costs one round trip, and many cost no more; what becomes of tasks and
    signals follows in others. False where another request at the same moment was first with one of the keys: then the
    caller must take all of it back.
    """
    writing = Statement()
    writing.add(_MOVE, [moved_row(change.finish()) for change in changes])
    writing.add(_BEAR, [_born_row(change.finish()) for change in born])
    everything = [*changes, *born]
    writing.add(_TELL, event_rows(everything))
    writing.add(_DRAW, draft_rows(everything))
    writing.add(_QUEUE, task_rows(everything))
    writing.add(SUBMIT, submission_rows(given))
    kept = key_rows(keys)
    writing.add(KEEP, kept)
    if writing.parts:
        answer = await connection.fetch(writing.text(HOW_MANY_KEPT if kept else ""), *writing.arguments)
        if kept and answer[0]["kept"] != len(kept):
            return False
    await _write_rest(connection, everything)
    return True


async def _write_rest(connection: Connection, changes: Sequence[Change]) -> None:
    task_changes = [task for change in changes for task in change.tasks]
    if task_changes:
        await connection.executemany(_UPDATE_TASK, [_task_change_arguments(task) for task in task_changes])
    consumed = [identity for change in changes for identity in change.consumed]
    if consumed:
        await connection.execute(_CONSUME, consumed)


moved_row = to_row(SagaRow, MOVED)
"""A saga's row as `MOVED` has it."""
_born_row = to_row(SagaRow, COLUMNS)
_task_row = to_row(CalculationTask, NEW_TASK)


def event_rows(changes: Iterable[Change]) -> list[tuple[Any, ...]]:
    """The entries of these changes, as `EVENT` has them."""
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


def draft_rows(changes: Iterable[Change]) -> list[tuple[Any, ...]]:
    """The drafts of these changes, as `DRAFT` has them."""
    return [
        (row.saga_id, row.state, row.visit, dump(row.draft.document), row.draft.blob_id, row.changed_at_version)
        for change in changes
        for row in change.drafts
    ]


def task_rows(changes: Iterable[Change]) -> list[tuple[Any, ...]]:
    """The new tasks of these changes, as `NEW_TASK` has them."""
    return [_task_row(task) for change in changes for task in change.new_tasks]


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

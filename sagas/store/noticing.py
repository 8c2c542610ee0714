"""What a look at a waiting saga found, written under its row's lock; nothing where the saga has moved on meanwhile."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from sagas.change import Change, DraftRow
from sagas.definition import SagaDefinition
from sagas.errors import SagaError
from sagas.models import EventType, Saga, SagaStatus
from sagas.results import NewDraft
from sagas.store import drafts, journal
from sagas.store.database import Connection
from sagas.store.rows import db_now, to_saga

_LOCK = "SELECT saga.*, clock_timestamp() AS db_now FROM saga WHERE id = $1 FOR UPDATE"
_WAITS = frozenset({SagaStatus.AWAITING_INPUT, SagaStatus.AWAITING_RESULT})


async def change_draft(connection: Connection, seen: Saga, draft: NewDraft, definition: SagaDefinition) -> int | None:
    """Take over what a waiting form's file holds now; returns the new version, None where nothing changed."""
    locked = await _still_waiting(connection, seen)
    if locked is None or locked.saga.status is not SagaStatus.AWAITING_INPUT:
        return None
    waiting = locked.saga
    stored = await drafts.draft(connection, waiting.id, waiting.state, waiting.visit)
    if stored is not None and stored.blob_id == draft.blob_id:
        return None
    change = Change(waiting, definition, locked.now)
    change.journal(EventType.DRAFT_CHANGED, data={"blob": draft.blob_id})
    change.drafts.append(DraftRow(waiting.id, waiting.state, waiting.visit, draft, change.saga.version))
    await journal.write(connection, [change])
    return change.saga.version


async def stop(
    connection: Connection,
    seen: Saga,
    error: SagaError,
    merge_requests: Collection[int] | None,
    definition: SagaDefinition,
) -> int | None:
    """Fail the waiting saga for what was found; returns the new version, None where it does not wait any more.

    A result that has come is taken up first. `merge_requests` are those that are open now, None: not asked for.
    """
    locked = await _still_waiting(connection, seen)
    if locked is None:
        return None
    change = Change(locked.saga, definition, locked.now)
    if merge_requests is not None:
        change.context = replace(change.context, merge_requests=tuple(sorted(merge_requests)))
    change.fail(error)
    await journal.write(connection, [change])
    return change.saga.version


async def remember_merge_requests(
    connection: Connection, seen: Saga, numbers: Collection[int], definition: SagaDefinition
) -> None:
    """Keep which merge requests of the branch are open, so that one that ends by hand is missed; no event tells of it."""
    locked = await _still_waiting(connection, seen)
    if locked is None:
        return
    change = Change(locked.saga, definition, locked.now)
    change.context = replace(change.context, merge_requests=tuple(sorted(numbers)))
    await journal.write(connection, [change])


class _Locked(NamedTuple):
    saga: Saga
    now: datetime


async def _still_waiting(connection: Connection, seen: Saga) -> _Locked | None:
    record = await connection.fetchrow(_LOCK, seen.id)
    if record is None:
        return None
    saga = to_saga(record)
    same = (saga.state, saga.visit, saga.status) == (seen.state, seen.visit, seen.status)
    quiet = saga.status is not SagaStatus.AWAITING_RESULT or saga.signals == saga.signals_seen
    if not (same and quiet and saga.status in _WAITS and saga.lease_token is None):
        return None
    return _Locked(saga, db_now(record))

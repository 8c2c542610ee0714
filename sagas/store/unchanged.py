"""Moving sagas whose rows are still as they were when it was decided about them: fence and decision in one statement.

Nothing is locked first, so a decision costs one round trip beyond what it was made on. A row that has changed meanwhile,
by a command, a step, a look or a signal, is left as it is with all that goes with it, to be decided under its lock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sagas.change import Change
from sagas.models import CalculationTask, Draft, IdempotencyRecord, Saga, SagaEvent, SagaRow
from sagas.store import drafts, idempotency, journal
from sagas.store.database import Connection
from sagas.store.drafts import Submission
from sagas.store.idempotency import UsedKey
from sagas.store.rows import to_row
from sagas.store.statement import Part, Statement, insert

UNVERSIONED = ("due_at", "lease_token", "look_at", "look_interval_s", "signals")
"""What changes on a leased saga's row without an entry in its journal: renewals, looks, webhooks and signals."""

# Renewals are not in the way: what is written of a lease's end lies in its own last half, or begins a new one.
# What a look remembers of merge requests has no entry either: it is told by the time of the row's last change.
_KNOWN = ("version", "updated_at", *(name for name in UNVERSIONED if name != "due_at"))
_MOVED = (*journal.MOVED, *(f"was_{name}" for name in _KNOWN))
_AS_KNOWN = " AND ".join(f"saga.{name} IS NOT DISTINCT FROM new.was_{name}" for name in _KNOWN)
_IF_MOVED = "JOIN moved ON moved.id = new.saga_id"

_MOVE = Part(
    "moved",
    SagaRow,
    _MOVED,
    f"UPDATE saga SET {journal.SET_MOVED} FROM {{rows}} WHERE saga.id = new.id AND {_AS_KNOWN} RETURNING saga.id",
)
_TELL = Part("told", SagaEvent, journal.EVENT, f"{insert('saga_event', journal.EVENT)} {_IF_MOVED}")
_DRAW = Part("drafted", Draft, journal.DRAFT, f"{insert('draft', journal.DRAFT)} {_IF_MOVED} {journal.UPDATE_DRAFT}")
_QUEUE = Part(
    "queued", CalculationTask, journal.NEW_TASK, f"{insert('calculation_task', journal.NEW_TASK)} {_IF_MOVED}"
)
_SUBMIT = Part("submitted", Draft, drafts.GIVEN, f"{insert('draft', drafts.GIVEN)} {_IF_MOVED} {drafts.KEEP_SUBMITTED}")
_KEEP = Part(
    "kept", IdempotencyRecord, idempotency.KEPT, f"{insert('idempotency_record', idempotency.KEPT)} {_IF_MOVED}"
)
_WHICH = "SELECT id, clock_timestamp() AS db_now FROM moved"

_known = to_row(SagaRow, _KNOWN)


@dataclass(frozen=True, slots=True)
class Moved:
    """The sagas that were moved, and the database's time; None where there are none."""

    sagas: frozenset[UUID]
    now: datetime | None


def movable(change: Change) -> bool:
    """Whether the change can be written so: what becomes of tasks and signals needs statements of its own."""
    return not (change.tasks or change.consumed)


async def move(
    connection: Connection,
    decided: Iterable[tuple[Saga, Change]],
    *,
    given: Sequence[Submission] = (),
    keys: Iterable[UsedKey] = (),
) -> Moved:
    """Write the changes of those rows that are still as given, no saga twice; documents and keys go with their saga's.

    Raises asyncpg's UniqueViolationError where another request was first with one of the keys: nothing was written.
    """
    # In the order of the ids, like every statement over many sagas, so that no two of them can deadlock.
    pairs = sorted(decided, key=lambda pair: pair[0].id)
    changes = [change for _, change in pairs]
    writing = Statement()
    writing.add(_MOVE, [(*journal.moved_row(change.finish()), *_known(was)) for was, change in pairs])
    writing.add(_TELL, journal.event_rows(changes))
    writing.add(_DRAW, journal.draft_rows(changes))
    writing.add(_QUEUE, journal.task_rows(changes))
    writing.add(_SUBMIT, drafts.submission_rows(given))
    writing.add(_KEEP, idempotency.key_rows(keys))
    records = await connection.fetch(writing.text(_WHICH), *writing.arguments)
    return Moved(frozenset(record["id"] for record in records), records[0]["db_now"] if records else None)

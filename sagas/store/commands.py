"""Commands on a saga that exists: lock its row, see what it allows, write what follows; one transaction each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sagas.models import Saga
from sagas.store.database import Connection
from sagas.store.rows import db_now, to_saga

_LOCK = "SELECT saga.*, clock_timestamp() AS db_now FROM saga WHERE id = $1 FOR UPDATE"
_LOCK_BRANCH = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_LIVE_ON_BRANCH = """
SELECT saga.*, clock_timestamp() AS db_now FROM saga
WHERE project_id = $1 AND branch = $2 AND status NOT IN ('COMPLETED', 'CANCELLED')
ORDER BY created_at
"""
_NOW = "SELECT clock_timestamp()"
_RECORDED_BRANCH = """
SELECT branch FROM saga
WHERE project_id = $1 AND issue_iid = $2 AND definition_name <> 'merge_request'
ORDER BY created_at DESC LIMIT 1
"""
_SAGA = "SELECT * FROM saga WHERE id = $1"
_MOVED_SINCE = """
SELECT EXISTS (
    SELECT FROM saga_event
    WHERE saga_id = $1 AND version > $2 AND type NOT IN ('ATTEMPT_FAILED', 'DRAFT_CHANGED', 'OUTPUT_NOTICED')
)
"""
_LEFT_SINCE = """
SELECT EXISTS (
    SELECT FROM saga_event WHERE saga_id = $1 AND version > $2 AND from_state IS DISTINCT FROM to_state
)
"""


@dataclass(frozen=True, slots=True)
class Locked:
    """A saga whose row this transaction holds, and the database's time."""

    saga: Saga
    now: datetime


async def lock(connection: Connection, saga_id: UUID) -> Locked | None:
    """Hold the saga's row until the transaction ends."""
    record = await connection.fetchrow(_LOCK, saga_id)
    return None if record is None else Locked(to_saga(record), db_now(record))


async def saga(connection: Connection, saga_id: UUID) -> Saga | None:
    """The saga as it is now, unlocked."""
    record = await connection.fetchrow(_SAGA, saga_id)
    return None if record is None else to_saga(record)


async def lock_branch(connection: Connection, project_id: int, branch: str) -> None:
    """Let starts on one branch go one after the other; the lock goes with the transaction."""
    await connection.execute(_LOCK_BRANCH, f"{project_id}:{branch}")


async def live_on_branch(connection: Connection, project_id: int, branch: str) -> Sequence[Saga]:
    """The live sagas of a branch, oldest first."""
    return [to_saga(record) for record in await connection.fetch(_LIVE_ON_BRANCH, project_id, branch)]


async def now(connection: Connection) -> datetime:
    """The database's time."""
    value: datetime = await connection.fetchval(_NOW)
    return value


async def recorded_branch(connection: Connection, project_id: int, issue_iid: int) -> str | None:
    """The branch that the newest saga of this issue worked on."""
    branch: str | None = await connection.fetchval(_RECORDED_BRANCH, project_id, issue_iid)
    return branch


async def moved_since(connection: Connection, saga_id: UUID, version: int) -> bool:
    """Whether the saga has moved since this version; failed attempts, changed drafts and notices do not move it."""
    return bool(await connection.fetchval(_MOVED_SINCE, saga_id, version))


async def left_since(connection: Connection, saga_id: UUID, version: int) -> bool:
    """Whether the saga has left the step that it was in at this version, by whatever way."""
    return bool(await connection.fetchval(_LEFT_SINCE, saga_id, version))

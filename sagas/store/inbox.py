"""Signals: outside facts become rows first, counted on the saga's own row, and wake it where nobody holds it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sagas.ids import ProjectId, SagaId
from sagas.models import Signal, SignalKind
from sagas.ports import Hint
from sagas.store.database import Connection

# The counter is on the saga's row: an EXISTS over the inbox inside the outcome's UPDATE would read an old snapshot
# after a lock wait and sleep through the signal.
_SEND = """
WITH told AS (
    INSERT INTO signal (saga_id, kind, dedupe_key, payload) VALUES ($1, $2, $3, $4)
    ON CONFLICT (saga_id, dedupe_key) DO NOTHING
    RETURNING saga_id
)
UPDATE saga SET
    signals = signals + 1,
    due_at = CASE
        WHEN lease_token IS NULL AND status = 'AWAITING_RESULT' THEN clock_timestamp() ELSE due_at
    END
FROM told WHERE saga.id = told.saga_id
RETURNING saga.id
"""

_WEBHOOK = """
WITH waiting AS (
    SELECT id FROM saga
    WHERE project_id = $1 AND branch = $2 AND status NOT IN ('COMPLETED', 'CANCELLED') AND look_at IS NOT NULL
    ORDER BY id
    FOR UPDATE
), told AS (
    INSERT INTO signal (saga_id, kind, dedupe_key, payload, consumed_at)
    SELECT id, 'WEBHOOK', $3, $4, clock_timestamp() FROM waiting
    ON CONFLICT (saga_id, dedupe_key) DO NOTHING
    RETURNING saga_id
)
UPDATE saga SET look_at = clock_timestamp(), look_interval_s = 2 FROM told WHERE saga.id = told.saga_id
RETURNING saga.id, saga.version
"""

_UNREAD = "SELECT * FROM signal WHERE saga_id = $1 AND consumed_at IS NULL ORDER BY created_at, id"


async def send(
    connection: Connection, saga_id: SagaId, kind: SignalKind, *, dedupe_key: str, payload: Mapping[str, Any]
) -> bool:
    """Put a fact into the saga's inbox; False where it was there already."""
    return await connection.fetchval(_SEND, saga_id, kind, dedupe_key, dict(payload)) is not None


async def pushed(
    connection: Connection, *, project_id: ProjectId, branch: str, delivery: str, payload: Mapping[str, Any]
) -> list[Hint]:
    """Have the waiting sagas of the branch looked after now; returns them. A delivery told twice counts once."""
    records = await connection.fetch(_WEBHOOK, project_id, branch, f"webhook:{delivery}", dict(payload))
    return [Hint(SagaId(record["id"]), record["version"]) for record in records]


async def unread(connection: Connection, saga_id: UUID) -> list[Signal]:
    """The signals that no step has taken yet, oldest first."""
    records = await connection.fetch(_UNREAD, saga_id)
    return [Signal(**{**dict(record), "kind": SignalKind(record["kind"])}) for record in records]

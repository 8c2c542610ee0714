"""Sagas that ought to move and do not: nobody will wake them, or they are past what may be expected of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sagas.ids import SagaId
from sagas.models import SagaStatus
from sagas.store.database import Connection


class StuckReason(StrEnum):
    """Why a saga is on the list; one that has several shows the first of them."""

    NOBODY_WAKES_IT = "NOBODY_WAKES_IT"
    """It is not over and waits for no person, yet no time is set at which an engine looks at it: a fault of the service."""
    NOT_TAKEN = "NOT_TAKEN"
    """It is due, and no engine takes it: none runs, they are too few, or they cannot reach the database."""
    NOT_LOOKED_AFTER = "NOT_LOOKED_AFTER"
    """It waits, and nobody looks whether what it waits for has come: as NOT_TAKEN."""
    PAST_DEADLINE = "PAST_DEADLINE"
    """The wait for its result should have ended with an error: what tells so is away, or its step hangs."""
    NO_PROGRESS = "NO_PROGRESS"
    """Its step is tried again and again, or hangs; the error tells who does not answer."""


@dataclass(frozen=True, slots=True)
class StuckSaga:
    """One of them; `since` is when it ought to have moved, or moved last, and `age` how long ago that is."""

    id: SagaId
    definition: str
    project_path: str
    branch: str
    state: str
    status: SagaStatus
    version: int
    attempts: int
    error: Mapping[str, Any] | None
    reason: StuckReason
    since: datetime
    age: timedelta


# Each part reads a partial index that a saga at rest is not in, so that the cost follows those under way. Of the sagas
# that nobody wakes there is never one, unless the engine has a fault: their index is empty.
_SUSPECTS = """
WITH suspect AS (
    SELECT id, 1 AS rank, 'NOBODY_WAKES_IT' AS reason, updated_at AS since FROM saga
    WHERE due_at IS NULL AND status IN ('RUNNING', 'AWAITING_RESULT', 'CANCELLING')
    UNION ALL
    SELECT id, 2, 'NOT_TAKEN', due_at FROM saga WHERE due_at < statement_timestamp() - $1::interval
    UNION ALL
    SELECT id, 3, 'NOT_LOOKED_AFTER', look_at FROM saga WHERE look_at < statement_timestamp() - $1::interval
    UNION ALL
    SELECT id, 4, 'PAST_DEADLINE', deadline_at FROM saga
    WHERE due_at IS NOT NULL AND status = 'AWAITING_RESULT' AND deadline_at < statement_timestamp() - $1::interval
    UNION ALL
    SELECT saga.id, 5, 'NO_PROGRESS', moved.at FROM saga CROSS JOIN LATERAL (
        SELECT occurred_at AS at FROM saga_event
        WHERE saga_id = saga.id AND type <> 'ATTEMPT_FAILED'
        ORDER BY saga_event.version DESC LIMIT 1
    ) AS moved
    WHERE due_at IS NOT NULL AND status IN ('RUNNING', 'CANCELLING') AND moved.at < statement_timestamp() - $2::interval
), stuck AS (
    SELECT DISTINCT ON (id) id, reason, since FROM suspect ORDER BY id, rank
)
"""
STUCK = (
    _SUSPECTS
    + """
SELECT saga.id, definition_name AS definition, project_path, branch, state, status, version, attempts, error,
       stuck.reason, stuck.since, statement_timestamp() - stuck.since AS age
FROM stuck JOIN saga ON saga.id = stuck.id
ORDER BY stuck.since LIMIT $3
"""
)
COUNTS = _SUSPECTS + "SELECT reason, count(*) AS number FROM stuck GROUP BY reason"


async def listed(connection: Connection, *, overdue: timedelta, expectation: timedelta, limit: int) -> list[StuckSaga]:
    """The stuck sagas, those first that have been so for the longest time."""
    records = await connection.fetch(STUCK, overdue, expectation, limit)
    return [_saga(dict(record)) for record in records]


async def counted(connection: Connection, *, overdue: timedelta, expectation: timedelta) -> dict[StuckReason, int]:
    """How many there are of each reason, none left out."""
    records = await connection.fetch(COUNTS, overdue, expectation)
    found = {StuckReason(record["reason"]): int(record["number"]) for record in records}
    return {reason: found.get(reason, 0) for reason in StuckReason}


def _saga(values: dict[str, Any]) -> StuckSaga:
    values |= {"status": SagaStatus(values["status"]), "reason": StuckReason(values["reason"])}
    return StuckSaga(**values)

"""Nothing may be stuck: which sagas are, for the operator's command and metric. Only reads; no right is asked for here."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sagas.store import stuck
from sagas.store.database import Database
from sagas.store.stuck import StuckReason, StuckSaga

__all__ = ["EXPECTATION", "OVERDUE", "StuckReason", "StuckSaga", "count_stuck_sagas", "stuck_sagas"]

OVERDUE = timedelta(minutes=1)
"""How late a saga may be taken up: far above the second within which an engine takes it, below what a person notices."""
EXPECTATION = timedelta(minutes=15)
"""How long a step may go on without moving its saga: three of the longest back-offs."""


async def stuck_sagas(
    database: Database, *, expectation: timedelta = EXPECTATION, limit: int = 100
) -> Sequence[StuckSaga]:
    """Every live saga that nobody will wake, or that is past its expectation, up to `limit` of them; the oldest first.

    Waiting for a person is no fault: forms, pauses and failures are not listed, however old. Raises
    RetryableError("DATABASE_UNAVAILABLE").
    """
    return await database.read(
        lambda connection: stuck.listed(connection, overdue=OVERDUE, expectation=expectation, limit=limit)
    )


async def count_stuck_sagas(database: Database, *, expectation: timedelta = EXPECTATION) -> Mapping[StuckReason, int]:
    """How many sagas are stuck, by reason; each reason is there, with 0 where nothing is wrong."""
    return await database.read(lambda connection: stuck.counted(connection, overdue=OVERDUE, expectation=expectation))

"""How the whole of the sagas stands at this moment, for whoever watches the service: a few figures from partial indexes.

None of them reads finished sagas, of which there may be millions.
"""

from dataclasses import dataclass

from sagas.models import SagaStatus
from sagas.store.database import Connection

LIVE = """
SELECT status, count(*) AS sagas FROM saga
WHERE status NOT IN ('COMPLETED', 'CANCELLED')
GROUP BY status
"""
DUE = """
SELECT count(*) AS sagas, coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0)::float8 AS age_s FROM saga
WHERE due_at <= statement_timestamp()
"""
# Tasks of sagas that failed or rest wait for a person, not for the broker.
OUTBOX = """
SELECT count(*) AS tasks,
       coalesce(extract(epoch FROM clock_timestamp() - min(task.created_at)), 0)::float8 AS age_s
FROM calculation_task AS task
JOIN saga ON saga.id = task.saga_id AND saga.status = 'RUNNING'
WHERE task.published_at IS NULL AND task.status = 'QUEUED'
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many wait, and since when the first of them does."""

    waiting: int
    age_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """The figures of one moment; `due`: sagas that no engine has taken up yet, `outbox`: tasks not yet published."""

    live: dict[SagaStatus, int]
    due: Backlog
    outbox: Backlog


async def standing(connection: Connection) -> Standing:
    """How it stands now."""
    live = {status: 0 for status in SagaStatus if status.live}
    live |= {SagaStatus(record["status"]): record["sagas"] for record in await connection.fetch(LIVE)}
    due, outbox = await connection.fetchrow(DUE), await connection.fetchrow(OUTBOX)
    if due is None or outbox is None:
        raise AssertionError("an aggregate has a row")
    return Standing(live, Backlog(due["sagas"], due["age_s"]), Backlog(outbox["tasks"], outbox["age_s"]))

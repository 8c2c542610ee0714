"""What `orchestrator sagas stuck` prints: one line for each saga that ought to move and does not."""

from datetime import timedelta

from sagas.store.database import CONNECTION_FAILURES, Database, database_unavailable
from sagas.use_cases.stuck import StuckReason, StuckSaga, stuck_sagas

WORDS = {
    StuckReason.NOBODY_WAKES_IT: "nobody will wake it",
    StuckReason.NOT_TAKEN: "is due, and no engine takes it",
    StuckReason.NOT_LOOKED_AFTER: "waits, and nobody looks after it",
    StuckReason.PAST_DEADLINE: "should have stopped waiting for its result",
    StuckReason.NO_PROGRESS: "does not get on",
}


async def look(database_url: str, *, after_s: float, limit: int) -> list[str]:
    """A line for each, the oldest first; raises RetryableError where the database does not answer."""
    try:
        database = await Database.open(database_url, size=1)
    except CONNECTION_FAILURES as away:
        raise database_unavailable() from away
    try:
        return [line(saga) for saga in await stuck_sagas(database, expectation=timedelta(seconds=after_s), limit=limit)]
    finally:
        await database.close()


def line(saga: StuckSaga) -> str:
    """Which saga, what is wrong with it and for how long, and the last error."""
    told = f"{saga.id}  {saga.reason}  {_age(saga.age)}  {saga.status} in {saga.state}: {WORDS[saga.reason]}"
    tried = f" (failed attempts: {saga.attempts})" if saga.attempts else ""
    error = f", {saga.error['code']}: {saga.error['message']}" if saga.error else ""
    return f"{told}{tried}{error}  [{saga.definition}, {saga.project_path}, {saga.branch}]".replace("\n", " ")


def _age(age: timedelta) -> str:
    return str(timedelta(seconds=round(age.total_seconds())))

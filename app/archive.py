"""What `orchestrator sagas archive` and `unarchive` do and print."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from app.settings import DatabaseSettings
from sagas.retention import Retention, bring_all_back, due, sweep
from sagas.store.database import CONNECTION_FAILURES, Database, database_unavailable


def retention_of(settings: DatabaseSettings) -> Retention:
    """How long finished sagas stay among the others."""
    of = {name: timedelta(days=days) for name, days in settings.retention_days_of.items()}
    return Retention(timedelta(days=settings.retention_days), of)


async def archive(database_url: str, retention: Retention, *, dry_run: bool) -> list[str]:
    """Archive what is old enough, or only count it; a line for each definition. Raises RetryableError."""
    async with _opened(database_url) as database:
        counts = await (due if dry_run else sweep)(database, retention)
    done = "to archive" if dry_run else "archived"
    return [f"{name}: {count} {done}" for name, count in counts.items()]


async def unarchive(database_url: str) -> str:
    """Bring everything back; says how many sagas came. Raises RetryableError."""
    async with _opened(database_url) as database:
        return f"{await bring_all_back(database)} brought back"


@asynccontextmanager
async def _opened(database_url: str) -> AsyncIterator[Database]:
    try:
        database = await Database.open(database_url, size=1)
    except CONNECTION_FAILURES as away:
        raise database_unavailable() from away
    try:
        yield database
    finally:
        await database.close()

"""Connections: what an address may say, and what becomes of a session that falls silent in mid-transaction."""

import asyncio

from sqlalchemy import text

from sagas.store.database import Connection, Database
from tests.support import eventually

_CALLED = "SELECT current_setting('application_name')"


async def test_an_address_with_a_query_is_understood_by_both_kinds_of_connections(database_url: str) -> None:
    database = await Database.open(f"{database_url}?application_name=turbine&sslmode=prefer")
    try:
        assert await database.read(lambda connection: connection.fetchval(_CALLED)) == "turbine"
        async with database.engine.connect() as connection:
            assert await connection.scalar(text(_CALLED)) == "turbine"
    finally:
        await database.close()


async def test_a_transaction_that_falls_silent_gives_its_locks_back_and_is_done_again(database_url: str) -> None:
    """As when its process is stopped between two statements: others need not wait until somebody wakes it."""
    database = await Database.open(database_url, patience=60)
    passes: list[asyncio.Event] = []

    async def work(connection: Connection) -> str:
        await connection.execute("SELECT pg_advisory_xact_lock(7)")
        if not passes:
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 100")
            passes.append(asyncio.Event())
            await passes[0].wait()
        return str(await connection.fetchval("SELECT 'done'"))

    try:
        assert await database.read(lambda c: c.fetchval("SHOW idle_in_transaction_session_timeout")) == "5s"
        silent = asyncio.create_task(database.run(work))
        await eventually(lambda: passes)
        # Without the time-out this would wait for as long as the other is silent.
        await database.run(lambda c: c.execute("SELECT pg_advisory_xact_lock(7)"))
        passes[0].set()
        assert await silent == "done"
    finally:
        await database.close()

"""The least that the same workload costs on the same server: bare asyncpg, a row to update and a journal row to add.

No lease, no chart, no check, no announcement: what is above these floors is the price of the guarantees.
"""

import asyncio
import time
from collections.abc import Sequence
from uuid import UUID, uuid4

import asyncpg

from sagas.store.database import plain_url
from tests.benchmarks.workload import TRANSITIONS

_TABLES = """
CREATE TABLE IF NOT EXISTS floor_saga (id uuid PRIMARY KEY, version int NOT NULL, state text NOT NULL);
CREATE TABLE IF NOT EXISTS floor_key (key uuid PRIMARY KEY, saga_id uuid NOT NULL);
CREATE TABLE IF NOT EXISTS floor_event (
    saga_id uuid NOT NULL, version int NOT NULL, state text NOT NULL, at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (saga_id, version)
);
"""
_BEAR = "INSERT INTO floor_saga (id, version, state) SELECT unnest($1::uuid[]), 1, 'S1'"
_KEEP_KEY = "INSERT INTO floor_key (key, saga_id) SELECT gen_random_uuid(), unnest($1::uuid[])"
_MOVE = "UPDATE floor_saga SET version = $2, state = $3 WHERE id = ANY($1::uuid[]) AND version = $2 - 1"
_TELL = "INSERT INTO floor_event (saga_id, version, state) SELECT unnest($1::uuid[]), $2, $3"


async def prepare(url: str) -> None:
    """Make the floors' own tables."""
    connection = await asyncpg.connect(plain_url(url))
    await connection.execute(_TABLES)
    await connection.close()


async def transition(connection: "asyncpg.pool.PoolConnectionProxy", ids: Sequence[UUID], version: int) -> None:
    """One commit that moves these sagas to the version."""
    async with connection.transaction():
        if version == 1:
            await connection.execute(_BEAR, ids)
            await connection.execute(_KEEP_KEY, ids)
        else:
            await connection.execute(_MOVE, ids, version, f"S{version}")
        await connection.execute(_TELL, ids, version, f"S{version}")


async def sagas_per_second(url: str, *, sagas: int, in_flight: int, per_commit: int = 1) -> float:
    """`per_commit` 1: each transition is a transaction, with a connection for each saga in flight.

    More: that many sagas move together in one commit, on one connection.
    """
    groups = [[uuid4() for _ in range(at, min(at + per_commit, sagas))] for at in range(0, sagas, per_commit)]
    size = in_flight if per_commit == 1 else 1
    async with asyncpg.create_pool(plain_url(url), min_size=size, max_size=size) as pool:
        waiting = iter(groups)

        async def work() -> None:
            async with pool.acquire() as connection:
                for ids in waiting:
                    for version in range(1, TRANSITIONS + 1):
                        await transition(connection, ids, version)

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(size)))
        return sagas / (time.perf_counter() - began)


async def latencies_ms(url: str, *, times: int, commits: int) -> list[float]:
    """How long this many commits take, one after the other on one connection."""
    taken = []
    async with asyncpg.create_pool(plain_url(url), min_size=1, max_size=1) as pool, pool.acquire() as connection:
        for _ in range(times):
            ids = [uuid4()]
            await transition(connection, ids, 1)
            began = time.perf_counter()
            for version in range(2, 2 + commits):
                await transition(connection, ids, version)
            taken.append(1000 * (time.perf_counter() - began))
    return taken

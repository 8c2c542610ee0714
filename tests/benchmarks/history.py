"""Growth: throughput and latency beside millions of finished sagas, dead index entries and an old snapshot.

python -m tests.benchmarks.history [--json] [--scale N] [--sagas N] [--in-flight N] [--rounds N]

`--scale` is the number of finished sagas, with ten events each; four dead entries of the claim's index to ten of them.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg

from app.migrate import migrate
from sagas.store.database import plain_url
from tests.benchmarks import floors, latency
from tests.benchmarks.crowd import ask, copy, sibling
from tests.benchmarks.durable import durable_server
from tests.benchmarks.engine import run_all
from tests.benchmarks.report import Measure, Options, less_is_better, more_is_better, options, percentile, show, spread
from tests.benchmarks.workload import ENDED, run, service

NAME = "history"
EVENTS = 10
# The same ones each time: an update moves a row, so that the first of a table are others each time, and all of them stay due.
_CHOSEN = "CREATE TEMPORARY TABLE chosen AS SELECT id FROM saga WHERE status = 'COMPLETED' LIMIT {}"
_DUE_ONCE = "UPDATE saga SET due_at = $1::timestamptz FROM chosen WHERE saga.id = chosen.id"
_STILL_DUE = "SELECT count(*) FROM saga WHERE due_at IS NOT NULL"
_LOOKS_AT_ALL = """
SELECT count(*) FROM pg_stat_activity
WHERE state = 'active' AND query LIKE '%WITH due AS%' AND datname = current_database() AND pid <> pg_backend_pid()
"""
_ACROSS = 10
"""Updates of a finished saga that leave a dead entry each."""
_UNFINISHED = "SELECT count(*) FROM saga WHERE status <> 'COMPLETED' OR version <> $1 AND version <> $2"


async def measure(url: str, given: Options) -> list[Measure]:
    """Rounds on empty tables and on full ones take turns, on one server."""
    full = await sibling(url)
    await migrate(full)
    await floors.prepare(url)
    async with service(full) as product:
        await product.run_one(product.branch(1))
    await copy(full, given.scale, status="COMPLETED", events=EVENTS)
    rates: list[tuple[float, float]] = []
    slowest: list[tuple[float, float]] = []
    async with _old_snapshot(full):
        await _leave_dead_entries(full, given.scale * 4 // 10)
        for _ in range(given.rounds):
            rates.append((await _rate(url, given), await _rate(full, given)))
            slowest.append((await _p99(url, given), await _p99(full, given)))
    empty, beside = zip(*rates, strict=True)
    calm, late = zip(*slowest, strict=True)
    return [
        more_is_better(NAME, "sagas_per_second", beside, "1/s", empty),
        spread(NAME, "sagas_per_second", beside),
        less_is_better(NAME, "p99_ms", late, "ms", calm),
        spread(NAME, "p99_ms", late),
        Measure(NAME, "finished_sagas", await ask(full, "SELECT count(*) FROM saga"), "sagas"),
        Measure(NAME, "events", await ask(full, "SELECT count(*) FROM saga_event"), "events"),
        Measure(NAME, "lost", await ask(full, _UNFINISHED, ENDED, EVENTS), "sagas", 0),
    ]


@asynccontextmanager
async def _old_snapshot(url: str) -> AsyncIterator[None]:
    """Another session that looks at the database as it is now, for as long as this lasts."""
    connection = await asyncpg.connect(plain_url(url))
    async with connection.transaction(isolation="repeatable_read"):
        await connection.fetchval("SELECT count(*) FROM saga_definition")
        yield
    await connection.close()


async def _leave_dead_entries(url: str, number: int) -> None:
    """Sagas that were due and are not any more: each leaves an entry in the way of every look for due ones."""
    connection = await asyncpg.connect(plain_url(url))
    await connection.execute(_CHOSEN.format(max(1, number // _ACROSS)), timeout=600)
    past = await connection.fetchval("SELECT clock_timestamp() - interval '1 day'")
    for hour in range(_ACROSS):
        due = past - timedelta(hours=hour)
        await connection.execute(_DUE_ONCE, due, timeout=600)
    await connection.execute(_DUE_ONCE, None, timeout=600)
    assert await connection.fetchval(_STILL_DUE, timeout=600) == 0, "an engine would have work with them"
    await connection.close()


async def _begun(url: str) -> None:
    """Wait until the engine's first look at whatever is due is over: how soon a process starts, `recovery` measures."""
    await asyncio.sleep(0.1)
    while await ask(url, _LOOKS_AT_ALL):
        await asyncio.sleep(0.05)


async def _rate(url: str, given: Options) -> float:
    async with service(url) as product:
        await _begun(url)
        began = time.perf_counter()
        await run_all(product, given)
        return given.sagas / (time.perf_counter() - began)


async def _p99(url: str, given: Options) -> float:
    async with service(url) as product:
        await _begun(url)
        branch = product.branch(1)
        times = max(1, given.sagas // 4)
        return percentile([await latency.one(product, branch) for _ in range(times)], 0.99)


def main() -> None:
    given, as_json = options("Throughput beside a long history.", sagas=400, scale=20_000)
    with durable_server() as url:
        show(run(measure(url, given)), as_json=as_json)


if __name__ == "__main__":
    main()

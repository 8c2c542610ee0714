"""Engine throughput: many sagas in flight, beside one transaction per transition and 64 transitions per commit.

python -m tests.benchmarks.engine [--json] [--sagas N] [--in-flight N] [--rounds N]
"""

import asyncio
import time
from dataclasses import dataclass

import asyncpg
import psutil

from sagas.store.database import plain_url
from tests.benchmarks import floors
from tests.benchmarks.durable import durable_server
from tests.benchmarks.report import Measure, Options, less_is_better, more_is_better, options, show, spread
from tests.benchmarks.workload import ENDED, TRANSITIONS, Service, cpu_s, run, server_cpu_s, service

NAME = "engine"
SHARED = 64
_FINISHED = "SELECT count(*) FROM saga WHERE status = 'COMPLETED' AND version = $1"


@dataclass(frozen=True, slots=True)
class Cpu:
    """Milliseconds of CPU per saga."""

    process: float
    """Of this process: client, use cases and engine together."""
    server: float
    """Of PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Round:
    """One pass of the engine between the two floors."""

    rate: float
    floor: float
    shared_floor: float
    cpu: "Cpu"
    floor_cpu: "Cpu"
    transactions: float
    """Per saga, as PostgreSQL counts commits, reads included."""
    lost: int


async def measure(url: str, given: Options) -> list[Measure]:
    """Run the rounds one after the other, each with its own floors."""
    await floors.prepare(url)
    rounds = [await _round(url, given) for _ in range(given.rounds)]
    rates, floor = [each.rate for each in rounds], [each.floor for each in rounds]
    per_saga = [float(TRANSITIONS)] * len(rounds)
    return [
        more_is_better(NAME, "sagas_per_second", rates, "1/s", floor),
        spread(NAME, "sagas_per_second", rates),
        spread(NAME, "floor", floor),
        more_is_better(
            NAME, "sagas_per_second_to_shared_commits", rates, "1/s", [each.shared_floor for each in rounds]
        ),
        less_is_better(NAME, "transactions_per_saga", [each.transactions for each in rounds], "commits", per_saga),
        less_is_better(
            NAME,
            "cpu_per_saga",
            [each.cpu.process for each in rounds],
            "ms",
            [each.floor_cpu.process for each in rounds],
        ),
        less_is_better(
            NAME,
            "server_cpu_per_saga",
            [each.cpu.server for each in rounds],
            "ms",
            [each.floor_cpu.server for each in rounds],
        ),
        Measure(NAME, "rss", round(psutil.Process().memory_info().rss / 2**20, 1), "MiB"),
        Measure(NAME, "lost", sum(each.lost for each in rounds), "sagas", 0),
    ]


async def _round(url: str, given: Options) -> Round:
    before = cpu_s(), await server_cpu_s(url)
    floor = await floors.sagas_per_second(url, sagas=given.sagas, in_flight=given.in_flight)
    floor_cpu = await _cpu_since(url, before, given.sagas)
    shared = await floors.sagas_per_second(url, sagas=given.sagas, in_flight=1, per_commit=SHARED)
    commits, finished = await _commits(url), await _finished(url)
    async with service(url) as product:
        before, began = (cpu_s(), await server_cpu_s(url)), time.perf_counter()
        await run_all(product, given)
        rate, cpu = given.sagas / (time.perf_counter() - began), await _cpu_since(url, before, given.sagas)
    return Round(
        rate,
        floor,
        shared,
        cpu,
        floor_cpu,
        (await _commits(url) - commits) / given.sagas,
        given.sagas - (await _finished(url) - finished),
    )


async def _cpu_since(url: str, before: tuple[float, float], sagas: int) -> Cpu:
    process, server = before
    return Cpu(1000 * (cpu_s() - process) / sagas, 1000 * (await server_cpu_s(url) - server) / sagas)


async def run_all(product: Service, given: Options) -> None:
    """All sagas from start to end, as many at once as were asked for."""
    numbers = iter(range(given.sagas))

    async def work(branch: str) -> None:
        for _ in numbers:
            await product.run_one(branch)

    await asyncio.gather(*(work(product.branch(slot)) for slot in range(1, given.in_flight + 1)))


async def _finished(url: str) -> int:
    return await _one(url, _FINISHED, ENDED)


async def _commits(url: str) -> int:
    # Sessions hand in their counts when they end, so this is asked between them.
    return await _one(url, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")


async def _one(url: str, question: str, *values: int) -> int:
    connection = await asyncpg.connect(plain_url(url))
    try:
        return int(await connection.fetchval(question, *values))
    finally:
        await connection.close()


def main() -> None:
    given, as_json = options("Sagas per second of one engine, beside PostgreSQL's own floors.", sagas=512)
    with durable_server() as url:
        show(run(measure(url, given)), as_json=as_json)


if __name__ == "__main__":
    main()

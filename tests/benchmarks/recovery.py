"""Recovery: parked sagas, kill -9, restart, inputs given, until all are finished; beside the same without the kill.

python -m tests.benchmarks.recovery [--json] [--sagas N] [--in-flight N] [--rounds N]
"""

import asyncio
import time

from tests.benchmarks.child import Child
from tests.benchmarks.crowd import ask, copy
from tests.benchmarks.durable import durable_server
from tests.benchmarks.report import Measure, Options, less_is_better, options, show, spread
from tests.benchmarks.workload import run

NAME = "recovery"
CROWD = 10
"""How many parked sagas there are for each measured one, when the first input after a kill is timed."""
_UNFINISHED = "SELECT count(*) FROM saga WHERE status <> 'COMPLETED'"
_READ = "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'saga'"


async def measure(url: str, given: Options) -> list[Measure]:
    """Run the rounds one after the other, each with and without the kill."""
    calm, parked, at_work, lost = [], [], [], 0
    child = await Child.start(url, branches=given.sagas)
    for _ in range(given.rounds):
        await child.ask("park", given.sagas, given.in_flight)
        began = time.perf_counter()
        await child.ask("finish", given.sagas, given.in_flight)
        calm.append(time.perf_counter() - began)

        await child.ask("park", given.sagas, given.in_flight)
        began = time.perf_counter()
        child = await _finished_by_another(url, given, child)
        parked.append(time.perf_counter() - began)

        await child.ask("park", given.sagas, given.in_flight)
        began = time.perf_counter()
        finishing = asyncio.create_task(child.ask("finish", given.sagas, given.in_flight))
        while await ask(url, _UNFINISHED) > given.sagas // 2:
            await asyncio.sleep(0.01)
        child = await _finished_by_another(url, given, child)
        at_work.append(time.perf_counter() - began)
        await asyncio.gather(finishing, return_exceptions=True)
        lost += await ask(url, _UNFINISHED)
    return [
        less_is_better(NAME, "seconds", parked, "s", calm),
        spread(NAME, "seconds", parked),
        less_is_better(NAME, "seconds_killed_at_work", at_work, "s", calm),
        Measure(NAME, "lost", lost, "sagas", 0),
        *await _first_answer(url, given, child),
    ]


async def _finished_by_another(url: str, given: Options, child: Child) -> Child:
    await child.kill()
    another = await Child.start(url, branches=given.sagas)
    await another.ask("finish", given.sagas, given.in_flight)
    return another


async def _first_answer(url: str, given: Options, child: Child) -> list[Measure]:
    await child.ask("park", 1, 1)
    await copy(url, CROWD * given.sagas, status="AWAITING_INPUT")
    await child.kill()
    before = await ask(url, _READ)
    child = await Child.start(url, branches=1)
    # PostgreSQL writes its statistics down with some delay.
    await asyncio.sleep(2)
    read = await ask(url, _READ) - before
    first = await child.ask("one")
    await child.kill()
    return [
        Measure(NAME, "process_ready", round(child.ready_s, 3), "s"),
        Measure(NAME, "rows_read_at_start", read, "rows", 0),
        Measure(NAME, "first_answer_ms", round(1000 * first["seconds"], 3), "ms"),
    ]


def main() -> None:
    given, as_json = options("Seconds until parked sagas are finished after a kill -9.", sagas=1000)
    with durable_server() as url:
        show(run(measure(url, given)), as_json=as_json)


if __name__ == "__main__":
    main()

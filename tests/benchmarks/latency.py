"""Latency of a lone saga: from its input to the next step being durable and told to a subscriber of the hub.

python -m tests.benchmarks.latency [--json] [--sagas N] [--rounds N]
"""

import time

from tests.benchmarks import floors
from tests.benchmarks.durable import durable_server
from tests.benchmarks.report import Measure, Options, less_is_better, options, percentile, show, spread
from tests.benchmarks.workload import ENDED, STEPPED, WAITING, Service, run, service

NAME = "latency"
COMMITS = 2
"""What must be durable in any design: the input, and the step after it."""


async def measure(url: str, given: Options) -> list[Measure]:
    """Run the rounds one after the other, each beside its own floor."""
    await floors.prepare(url)
    ours, bare = [], []
    for _ in range(given.rounds):
        bare.append(await floors.latencies_ms(url, times=given.sagas, commits=COMMITS))
        async with service(url) as product:
            branch = product.branch(1)
            ours.append([await one(product, branch) for _ in range(given.sagas)])
    found = []
    for metric, share in (("p50_ms", 0.5), ("p99_ms", 0.99)):
        values = [percentile(each, share) for each in ours]
        found.append(less_is_better(NAME, metric, values, "ms", [percentile(each, share) for each in bare]))
        found.append(spread(NAME, metric, values))
    return found


async def one(product: Service, branch: str) -> float:
    """Milliseconds from one saga's input to its next step."""
    saga_id = await product.start(branch)
    await product.versions.reached(saga_id, WAITING)
    async with product.hub.watch(saga_id) as subscription:
        began = time.perf_counter()
        await product.give_input(saga_id)
        while product.versions.newest[saga_id] < STEPPED:
            await subscription.changed()
        taken = time.perf_counter() - began
    await product.versions.reached(saga_id, ENDED)
    return 1000 * taken


def main() -> None:
    given, as_json = options("Milliseconds from an input to the next step, one saga in flight.", sagas=200)
    with durable_server() as url:
        show(run(measure(url, given)), as_json=as_json)


if __name__ == "__main__":
    main()

"""Every benchmark, small enough for a look in under a minute: python -m tests.benchmarks [--json]."""

from dataclasses import replace

from tests.benchmarks import engine, latency
from tests.benchmarks.report import options, show
from tests.benchmarks.workload import durable_server, run


def main() -> None:
    given, as_json = options("Throughput and latency of the engine, beside PostgreSQL's own floors.", sagas=256)
    with durable_server() as url:
        show(run(engine.measure(url, given)), as_json=as_json)
        show(run(latency.measure(url, replace(given, sagas=max(1, given.sagas // 2)))), as_json=as_json)


if __name__ == "__main__":
    main()

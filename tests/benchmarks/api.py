"""The API: requests per second and p99 beside plain FastAPI routes with the same SQL, and beside Strawberry as shipped.

python -m tests.benchmarks.api [--json] [--seconds S] [--connections N] [--rounds N]

One server process at a time, without an engine; the load comes from this process. Rates are limited by the server's one
core; where the machine is busy with other things, `cpu_per_request` is the figure to look at.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, cycle

from sagas.models import SagaStatus
from schema import ids
from tests.benchmarks.api_documents import BEGIN, INPUT, PAGE, READ, STEP, Asked
from tests.benchmarks.durable import durable_server
from tests.benchmarks.report import Measure, less_is_better, more_is_better, percentile, show, spread
from tests.benchmarks.server import Server, server
from tests.world import World, new_world

NAME = "api"
KINDS = ("plain", "shipped", "newcomer", "product")
ASKED = (READ, PAGE, BEGIN, INPUT)
WARM_UP = 50
Requests = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for on the command line."""

    seconds: float
    connections: int
    rounds: int
    sagas: int


@dataclass(frozen=True, slots=True)
class Load:
    """What one server did with one kind of request."""

    rate: float
    p99_ms: float
    cpu_ms: float


class _Connection:
    """One kept connection of HTTP/1.1, with as little client as there can be."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, request: bytes) -> bytes:
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
        return await self._reader.readexactly(int(length))

    def close(self) -> None:
        self._writer.close()


async def loaded(serving: Server, requests: Requests, check: Callable[[bytes], None], given: Options) -> Load:
    """As many requests as the server answers in the time."""
    connections = [
        _Connection(*await asyncio.open_connection("127.0.0.1", serving.port)) for _ in range(given.connections)
    ]
    for _ in range(WARM_UP):
        check(await connections[0].ask(requests()))
    taken: list[float] = []
    cpu, began = serving.cpu_s, time.perf_counter()
    until = began + given.seconds

    async def work(connection: _Connection) -> None:
        while (asked := time.perf_counter()) < until:
            answer = await connection.ask(requests())
            taken.append(time.perf_counter() - asked)
            if len(taken) % 100 == 0:
                check(answer)

    await asyncio.gather(*map(work, connections))
    passed, cpu = time.perf_counter() - began, serving.cpu_s - cpu
    for connection in connections:
        connection.close()
    return Load(len(taken) / passed, 1000 * percentile(taken, 0.99), 1000 * cpu / len(taken))


def _check(kind: str) -> Callable[[bytes], None]:
    def check(answer: bytes) -> None:
        document = json.loads(answer)
        assert document, answer
        if kind != "plain":
            assert "errors" not in document, answer
            assert not any(field.get("userErrors") for field in document["data"].values()), answer

    return check


def _requests(kind: str, asked: Asked, sagas: Iterator[str], numbers: Iterator[int]) -> Requests:
    def request() -> bytes:
        saga = next(sagas)
        # Reads need no branch, and there are only so many.
        variables = asked.variables(saga, next(numbers) if asked is BEGIN else 0)
        return asked.plain_request(saga, variables) if kind == "plain" else asked.graphql_request(variables)

    return request


async def measure(url: str, given: Options) -> list[Measure]:
    """Each kind of request against each server, in turns."""
    numbers = count(2_000)
    async with new_world(url) as world:
        waiting = await _waiting_sagas(world, given.sagas)
    loads: dict[str, dict[str, list[Load]]] = {asked.name: {kind: [] for kind in KINDS} for asked in ASKED}
    for _ in range(given.rounds):
        for kind in KINDS:
            with server("tests.benchmarks.api_server", kind, url) as serving:
                for asked in ASKED:
                    requests = _requests(kind, asked, cycle(waiting), numbers)
                    loads[asked.name][kind].append(await loaded(serving, requests, _check(kind), given))
    return [measure for asked in ASKED for measure in _figures(asked, loads[asked.name])]


def _figures(asked: Asked, loads: Mapping[str, Sequence[Load]]) -> list[Measure]:
    rates = {kind: [load.rate for load in each] for kind, each in loads.items()}
    cpu = {kind: [load.cpu_ms for load in each] for kind, each in loads.items()}
    tail = {kind: [load.p99_ms for load in each] for kind, each in loads.items()}
    name = asked.name
    return [
        more_is_better(NAME, f"{name}_per_second", rates["product"], "1/s", rates["plain"]),
        spread(NAME, f"{name}_per_second", rates["product"]),
        more_is_better(NAME, f"{name}_per_second_to_strawberry_as_shipped", rates["product"], "1/s", rates["shipped"]),
        more_is_better(
            NAME, f"{name}_per_second_to_strawberry_by_a_newcomer", rates["product"], "1/s", rates["newcomer"]
        ),
        less_is_better(NAME, f"{name}_p99_ms", tail["product"], "ms", tail["plain"]),
        less_is_better(NAME, f"{name}_cpu_per_request", cpu["product"], "ms", cpu["plain"]),
        less_is_better(NAME, f"{name}_cpu_per_request_to_strawberry_as_shipped", cpu["product"], "ms", cpu["shipped"]),
        less_is_better(
            NAME, f"{name}_cpu_per_request_to_strawberry_by_a_newcomer", cpu["product"], "ms", cpu["newcomer"]
        ),
    ]


async def _waiting_sagas(world: World, many: int) -> list[str]:
    """Sagas that wait for their form. The API answers an input given twice like one given once."""
    found = []
    async with world.running():
        for number in range(1, many + 1):
            world.forge.add_branch(world.project, f"issue/{number}-bench")
            saga = await world.start(f"issue/{number}-bench")
            found.append(saga.id)
        for saga_id in found:
            await world.reaches(saga_id, STEP, SagaStatus.AWAITING_INPUT, timeout=60)
    return [ids.global_id(ids.SAGA, saga_id) for saga_id in found]


def main() -> None:
    parser = argparse.ArgumentParser(description="The API beside plain FastAPI routes that send the same SQL.")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--seconds", type=float, default=5, help="for each kind of request (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=16, help="at once (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each server in turn (default: %(default)s)")
    parser.add_argument("--sagas", type=int, default=200, help="that are there before (default: %(default)s)")
    given = parser.parse_args()
    if min(given.seconds, given.connections, given.rounds, given.sagas) <= 0:
        parser.error("--seconds, --connections, --rounds and --sagas must be above 0")
    with durable_server() as url:
        found = asyncio.run(measure(url, Options(given.seconds, given.connections, given.rounds, given.sagas)))
        show(found, as_json=given.json)


if __name__ == "__main__":
    main()

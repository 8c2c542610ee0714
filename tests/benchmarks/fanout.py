"""Live fan-out: many graphql-transport-ws subscribers of one process, of one saga and of as many different ones.

python -m tests.benchmarks.fanout [--json] [--subscribers N] [--events-per-second N ...] [--seconds S] [--rounds N]

Events are written to the journal and announced by NOTIFY, as by an engine in another process. Latency is from the
event's own time, which is taken within its transaction, to the arrival of its message in the reading process.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from urllib.request import Request, urlopen

from app.adapters.broadcast import BroadcastAnnouncer, open_broadcast
from sagas.ids import SagaId
from sagas.ports import Hint
from sagas.store.database import Connection
from schema import ids
from tests.benchmarks.durable import durable_server
from tests.benchmarks.readers import Reader, Told, connect, disconnect
from tests.benchmarks.report import Measure, less_is_better, more_is_better, percentile, show, spread
from tests.benchmarks.server import PATIENCE_S, server
from tests.world import World, new_world

NAME = "fanout"
SERVERS = "tests.benchmarks.fanout_server"
BURST = 20
CONNECTING = 50
_QUERY = """subscription ($saga: ID!, $after: Int) {
  sagaEvents(sagaId: $saga, afterVersion: $after) {
    version type fromState toState status actor occurredAt saga { id status state version progress { fraction } }
  }
}"""
_APPEND = """
WITH moved AS (
    UPDATE saga SET version = version + 1, updated_at = clock_timestamp() WHERE id = $1 RETURNING *
)
INSERT INTO saga_event (saga_id, version, type, from_state, to_state, status, actor, data, occurred_at)
SELECT id, version, 'DRAFT_CHANGED', state, state, status, 'engine', '{}', clock_timestamp() FROM moved
RETURNING version
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for on the command line."""

    subscribers: int
    rates: tuple[int, ...]
    seconds: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Journal:
    """Where events come from: a process that is not the server's."""

    world: World
    announcer: BroadcastAnnouncer

    async def append(self, saga_id: SagaId, count: int = 1) -> None:
        """So many events of one saga, in one transaction, then announced."""

        async def work(connection: Connection) -> int:
            versions = [int(await connection.fetchval(_APPEND, saga_id)) for _ in range(count)]
            return versions[-1]

        self.announcer.announce([Hint(saga_id, await self.world.database.run(work))])


@asynccontextmanager
async def journal(url: str) -> AsyncIterator[Journal]:
    """A second process's side: its own connections, and no hub."""
    async with new_world(url) as world, open_broadcast(url) as broadcast:
        announcer = BroadcastAnnouncer(broadcast)
        yield Journal(world, announcer)
        await announcer.aclose()


async def subscribed(port: int, sagas: Sequence[tuple[SagaId, int]], told: Told) -> list[Reader]:
    """A reader for each pair of saga and version, a few at a time."""
    gate = asyncio.Semaphore(CONNECTING)

    async def one(saga_id: SagaId, version: int) -> Reader:
        variables = {"saga": ids.global_id(ids.SAGA, saga_id), "after": version - 1}
        says = (
            {"type": "connection_init", "payload": {"Authorization": "Bearer irina"}},
            {"id": "1", "type": "subscribe", "payload": {"query": _QUERY, "variables": variables}},
        )
        async with gate:
            return await connect(port, "/graphql", says, told)

    readers = await asyncio.gather(*(one(*saga) for saga in sagas))
    # Each begins with the newest event, so that it is known to listen.
    await told.reach(len(readers), PATIENCE_S)
    if len(told.messages) != len(readers):
        raise AssertionError(f"{len(told.messages)} of {len(readers)} subscriptions began")
    told.clear()
    return readers


def latencies_ms(told: Told) -> list[float]:
    """From each event's own time to its arrival."""
    return [1000 * (arrived - _occurred(text)) for arrived, text in told.messages]


def _occurred(text: bytes) -> float:
    stamp = json.loads(text)["payload"]["data"]["sagaEvents"]["occurredAt"]
    return datetime.fromisoformat(stamp).timestamp()


async def paced(source: Journal, sagas: Sequence[SagaId], rate: int, seconds: float) -> int:
    """Events at this rate in all, over the sagas in turn; how many were sent."""
    loop = asyncio.get_running_loop()
    began, sent = loop.time(), 0
    while sent < rate * seconds:
        await asyncio.sleep(max(0.0, began + sent / rate - loop.time()))
        await source.append(sagas[sent % len(sagas)])
        sent += 1
    return sent


@dataclass(frozen=True, slots=True)
class Burst:
    """How fast one process can tell: messages per second, and what they cost."""

    rate: float
    cpu_ms: float
    size: int
    text: bytes


async def product_burst(url: str, saga: tuple[SagaId, int], readers: int) -> Burst:
    """One burst of events of one saga, to all its subscribers."""
    told = Told()
    with server(SERVERS, "product", url) as serving:
        async with journal(url) as source:
            connected = await subscribed(serving.port, [saga] * readers, told)
            before, began = serving.cpu_s, asyncio.get_running_loop().time()
            await source.append(saga[0], BURST)
            await told.reach(BURST * readers, PATIENCE_S)
            taken, cpu = asyncio.get_running_loop().time() - began, serving.cpu_s - before
            await disconnect(connected)
    return _burst(told, BURST * readers, taken, cpu)


async def bare_burst(readers: int, text: bytes) -> Burst:
    """The same number of messages of the same bytes, by a bare loop."""
    told = Told()
    with server(SERVERS, "bare") as serving:
        connected = [await connect(serving.port, "/graphql", (), told) for _ in range(readers)]
        await asyncio.sleep(0.5)
        before, began = serving.cpu_s, asyncio.get_running_loop().time()
        push = Request(f"http://127.0.0.1:{serving.port}/push?times={BURST}", data=text, method="POST")
        pushing = asyncio.create_task(asyncio.to_thread(lambda: urlopen(push, timeout=PATIENCE_S).read()))
        await told.reach(BURST * readers, PATIENCE_S)
        taken, cpu = asyncio.get_running_loop().time() - began, serving.cpu_s - before
        await pushing
        await disconnect(connected)
    return _burst(told, BURST * readers, taken, cpu)


def _burst(told: Told, wanted: int, taken: float, cpu: float) -> Burst:
    count = len(told.messages)
    if count != wanted:
        raise AssertionError(f"{count} of {wanted} messages came")
    text = told.messages[-1][1]
    return Burst(count / taken, 1000 * cpu / count, len(text), text)


async def measure(url: str, given: Options) -> list[Measure]:
    """Bursts beside their floor, then each rate for one saga and for as many as there are subscribers."""
    async with new_world(url) as world:
        sagas = [await _saga(world, number) for number in range(1, given.subscribers + 1)]
    product, floor = [], []
    version = sagas[0][1]
    for _ in range(given.rounds):
        product.append(await product_burst(url, (sagas[0][0], version), given.subscribers))
        version += BURST
        floor.append(await bare_burst(given.subscribers, product[-1].text))
    rates, bare = [burst.rate for burst in product], [burst.rate for burst in floor]
    found = [
        more_is_better(NAME, "deliveries_per_second", rates, "1/s", bare),
        spread(NAME, "deliveries_per_second", rates),
        less_is_better(NAME, "cpu_per_delivery", [b.cpu_ms for b in product], "ms", [b.cpu_ms for b in floor]),
        Measure(NAME, "message_size", median(burst.size for burst in product), "bytes"),
    ]
    for rate in given.rates:
        found += await _at(url, "one_saga", [(sagas[0][0], version)] * given.subscribers, rate, given)
        version += int(rate * given.seconds)
        found += await _at(url, "many_sagas", [*sagas[1:], (sagas[0][0], version)], rate, given)
        sagas, version = await _now(url, sagas)
    return found


async def _at(url: str, what: str, watched: Sequence[tuple[SagaId, int]], rate: int, given: Options) -> list[Measure]:
    told, name = Told(), f"{what}_at_{rate}"
    distinct = list(dict.fromkeys(saga for saga, _ in watched))
    with server(SERVERS, "product", url) as serving:
        async with journal(url) as source:
            readers = await subscribed(serving.port, watched, told)
            before, began = serving.cpu_s, asyncio.get_running_loop().time()
            sent = await paced(source, distinct, rate, given.seconds)
            wanted = sent * len(watched) // len(distinct)
            await told.reach(wanted, 10.0)
            cpu = (serving.cpu_s - before) / (asyncio.get_running_loop().time() - began)
            rss = serving.rss_mib
            await disconnect(readers)
    taken = latencies_ms(told)
    return [
        Measure(NAME, f"{name}_delivered", round(len(taken) / wanted, 6), "of sent", 1, round(len(taken) / wanted, 6)),
        Measure(NAME, f"{name}_lost", wanted - len(taken), "messages", 0),
        Measure(NAME, f"{name}_p50_ms", round(percentile(taken, 0.5), 2), "ms"),
        Measure(NAME, f"{name}_p99_ms", round(percentile(taken, 0.99), 2), "ms"),
        Measure(NAME, f"{name}_cpu", round(100 * cpu, 1), "percent of a core"),
        Measure(NAME, f"{name}_rss", round(rss, 1), "MiB"),
    ]


async def _saga(world: World, number: int) -> tuple[SagaId, int]:
    branch = f"issue/{number}-bench"
    world.forge.add_branch(world.project, branch)
    saga = await world.start(branch)
    return SagaId(saga.id), saga.version


async def _now(url: str, sagas: Sequence[tuple[SagaId, int]]) -> tuple[list[tuple[SagaId, int]], int]:
    async with new_world(url) as world:
        records = await world.database.read(lambda connection: connection.fetch("SELECT id, version FROM saga"))
    versions = {record["id"]: record["version"] for record in records}
    return [(saga, versions[saga]) for saga, _ in sagas], versions[sagas[0][0]]


def _options() -> tuple[Options, bool]:
    parser = argparse.ArgumentParser(description="Live fan-out to many subscribers, beside a bare websocket loop.")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--subscribers", type=_positive, default=1000, help="websockets (default: %(default)s)")
    parser.add_argument("--events-per-second", type=_positive, nargs="+", default=[10, 100], help="in all")
    parser.add_argument("--seconds", type=_positive, default=10, help="at each rate (default: %(default)s)")
    parser.add_argument("--rounds", type=_positive, default=3, help="of bursts, interleaved with the floor's own")
    given = parser.parse_args()
    return Options(given.subscribers, tuple(given.events_per_second), given.seconds, given.rounds), given.json


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def main() -> None:
    given, as_json = _options()
    with durable_server() as url:
        show(asyncio.run(measure(url, given)), as_json=as_json)


if __name__ == "__main__":
    main()

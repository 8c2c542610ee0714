"""The measured service as a process of its own, to be killed: it answers one JSON line per command line.

Run by `Child`; by hand: python -m tests.benchmarks.child URL.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Self

import psutil

from app.garbage import load_without_collecting

if __name__ == "__main__":
    load_without_collecting()

from sagas.ids import SagaId
from sagas.store import commands
from tests.benchmarks.workload import FORM, Service, run, service

_WAITING = "SELECT id FROM saga WHERE status = 'AWAITING_INPUT' AND state = $1 ORDER BY created_at LIMIT $2"
_LIVE = "SELECT EXISTS (SELECT FROM saga WHERE status = 'RUNNING')"
_LINE = 1 << 16


@dataclass
class Child:
    """One such process, seen from outside."""

    process: asyncio.subprocess.Process
    ready_s: float
    """From its birth until it was at work."""

    @classmethod
    async def start(cls, url: str, *, branches: int) -> Self:
        """A service at work, whose GitLab has that many branches."""
        began = perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            __name__,
            url,
            str(branches),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE,
        )
        child = cls(process, 0)
        await child._answer()
        child.ready_s = perf_counter() - began
        return child

    async def ask(self, command: str, *arguments: int) -> dict[str, Any]:
        """Have a command done; its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join([command, *map(str, arguments)]).encode() + b"\n")
        return await self._answer()

    async def kill(self) -> None:
        """`kill -9`."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    def rss_mib(self) -> float:
        """Its memory."""
        return float(psutil.Process(self.process.pid).memory_info().rss / 2**20)

    async def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the measured process has ended with {await self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


async def _park(product: Service, number: int, in_flight: int) -> dict[str, Any]:
    numbers = iter(range(1, number + 1))

    async def work() -> None:
        for each in numbers:
            await product.versions.reached(await product.start(product.branch(each)), 6)

    await asyncio.gather(*(work() for _ in range(in_flight)))
    return {}


async def _finish(product: Service, number: int, in_flight: int) -> dict[str, Any]:
    """Give as many waiting sagas their input, and wait until none is at work any more."""
    rows = await product.database.read(lambda connection: connection.fetch(_WAITING, FORM, number))
    sagas = iter([SagaId(row["id"]) for row in rows])

    async def work() -> None:
        for saga in sagas:
            await product.give_input(saga)

    await asyncio.gather(*(work() for _ in range(in_flight)))
    while await product.database.read(lambda connection: connection.fetchval(_LIVE)):
        await asyncio.sleep(0.005)
    return {}


async def _one(product: Service, _number: int, _in_flight: int) -> dict[str, Any]:
    """How long one input takes to be accepted."""
    (row,) = await product.database.read(lambda connection: connection.fetch(_WAITING, FORM, 1))
    began = perf_counter()
    await product.give_input(SagaId(row["id"]))
    return {"seconds": perf_counter() - began}


_COMMANDS: dict[str, Callable[[Service, int, int], Awaitable[dict[str, Any]]]] = {
    "park": _park,
    "finish": _finish,
    "one": _one,
}


async def _serve(url: str, branches: int) -> None:
    async with service(url) as product:
        for number in range(1, branches + 1):
            product.branch(number)
        await product.database.read(commands.now)
        print("{}", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            name, *numbers = line.split()
            number, in_flight = map(int, numbers or (1, 1))
            print(json.dumps(await _COMMANDS[name](product, number, in_flight)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    run(_serve(sys.argv[1], int(sys.argv[2])))

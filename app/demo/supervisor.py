"""Keeps a set of processes running: starts them in order, starts again what dies, ends all at the end.

The supervised processes end by themselves when the supervisor is killed (`app.demo.lifeline`), and a second supervisor
on the same data directory waits for them, so that two generations never work side by side.
"""

import asyncio
import fcntl
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.demo.lifeline import LIFELINE, READY

_LONG_LIFE = 10.0
_TAIL_LINES = 25


class SupervisorError(Exception):
    """A process does not come up, or another supervisor is at work here; the message says which."""


@dataclass(frozen=True, slots=True)
class Service:
    """One process to be kept running."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Added to this process's own."""
    pid: Callable[[int], int | None] = lambda launched: launched
    """The process that really does the work, from the one that was launched."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a supervisor is; seconds."""

    start: float = 60
    """For one process to say that it is ready."""
    stop: float = 8
    """For one process to end when asked to."""
    back_off: tuple[float, float] = (0.2, 3)
    """Between two starts of a process that keeps dying: at first and at most."""
    predecessors: float = 20
    """For the processes of a killed supervisor to end."""


@dataclass(frozen=True, slots=True)
class Ties:
    """File descriptors that every supervised process inherits."""

    lifeline: int
    """At its end of file the supervisor is gone."""
    generation: int
    """A lock that is free again once all processes are gone."""


@dataclass(slots=True)
class _Running:
    service: Service
    process: asyncio.subprocess.Process
    since: float


class Supervisor:
    """Runs services whose logs go to `<folder>/<name>.log`.

    `said` gets a line for people whenever something happens; `changed` all pids whenever one of them is new.
    Use it inside `supervising`, from the main thread.
    """

    def __init__(
        self,
        logs: Path,
        ties: Ties,
        *,
        said: Callable[[str], None],
        changed: Callable[[Mapping[str, int]], None],
        pace: Pace | None = None,
    ) -> None:
        self._logs, self._ties = logs, ties
        self._said, self._changed = said, changed
        self._pace = pace or Pace()
        self._running: dict[str, _Running] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._pids: dict[str, int] = {}

    async def start_all(self, *services: Service) -> None:
        """`start` for services that do not need each other, at the same time; raises the first one's error."""
        try:
            async with asyncio.TaskGroup() as starting:
                for service in services:
                    starting.create_task(self.start(service))
        except* SupervisorError as failed:
            raise failed.exceptions[0] from None

    async def start(self, service: Service) -> None:
        """Start a service, wait until it says that it is ready, and keep it running from then on.

        Raises SupervisorError, with the end of its log, where it ends before that or says nothing for too long.
        """
        await self._launch(service)
        self._keepers[service.name] = asyncio.create_task(self._keep(service), name=f"keep {service.name}")

    @property
    def pids(self) -> Mapping[str, int]:
        """The process that does each service's work; of one that has just died, its last."""
        return dict(self._pids)

    async def stop(self) -> None:
        """End everything; what was started first, on which the others rest, at the end."""
        keepers = list(self._keepers.values())
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        processes = [running.process for running in self._running.values()]
        await asyncio.gather(*(self._end(process) for process in processes[1:]))
        for first in processes[:1]:
            await self._end(first)
        self._running.clear()

    async def _keep(self, service: Service) -> None:
        least, most = self._pace.back_off
        pause = least
        while True:
            running = self._running[service.name]
            status = await running.process.wait()
            lived = time.monotonic() - running.since
            pause = least if lived > _LONG_LIFE else min(pause * 2, most)
            self._said(f"{service.name} {_fate(status)}; starting it again")
            await asyncio.sleep(pause)
            with suppress(SupervisorError):
                await self._launch(service)
                self._said(f"{service.name} is back as process {self._pids[service.name]}")

    async def _launch(self, service: Service) -> None:
        reading, writing = os.pipe()
        try:
            try:
                process = await self._spawn(service, writing)
            finally:
                os.close(writing)
            self._running[service.name] = _Running(service, process, time.monotonic())
            said = await _first_byte(reading, self._pace.start)
        finally:
            os.close(reading)
        pid = service.pid(process.pid) if said else None
        if pid is None:
            await self._end(process)
            why = "ended before it was ready" if said is False else f"was not ready within {self._pace.start:g} s"
            raise SupervisorError(f"{service.name} {why}. The end of {self.log(service)}:\n{self._tail(service)}")
        self._pids[service.name] = pid
        self._changed(self.pids)

    async def _spawn(self, service: Service, ready: int) -> asyncio.subprocess.Process:
        self._logs.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **service.environment, LIFELINE: str(self._ties.lifeline), READY: str(ready)}
        with self.log(service).open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *service.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=(self._ties.lifeline, self._ties.generation, ready),
                start_new_session=True,  # Ctrl-C in a terminal is for the supervisor, which ends the others in order
            )

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(self._pace.stop):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def log(self, service: Service) -> Path:
        """Where a service's output goes."""
        return self._logs / f"{service.name}.log"

    def _tail(self, service: Service) -> str:
        with suppress(FileNotFoundError):
            lines = self.log(service).read_text(encoding="utf-8", errors="replace").splitlines()
            return "\n".join(lines[-_TAIL_LINES:])
        return "(empty)"


@asynccontextmanager
async def supervising(
    data_dir: Path,
    *,
    said: Callable[[str], None],
    changed: Callable[[Mapping[str, int]], None],
    pace: Pace | None = None,
) -> AsyncIterator[Supervisor]:
    """A supervisor for a data directory; when it is left, all its services end.

    Raises SupervisorError where another supervisor works on the directory, or the processes of one that was killed do
    not end.
    """
    pace = pace or Pace()
    with _sole_owner(data_dir):
        generation = await _generation(data_dir, pace.predecessors)
        lifeline, held = os.pipe()
        supervisor = Supervisor(data_dir / "logs", Ties(lifeline, generation), said=said, changed=changed, pace=pace)
        try:
            yield supervisor
        finally:
            await supervisor.stop()
            for descriptor in (held, lifeline, generation):
                os.close(descriptor)


@contextmanager
def _sole_owner(data_dir: Path) -> Iterator[None]:
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = data_dir / "supervisor.pid"
    with lock.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise SupervisorError(
                f"Process {file.read().strip() or '(unknown)'} already runs everything in {data_dir}. "
                "End it, or name another directory with --data-dir."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


async def _generation(data_dir: Path, patience: float) -> int:
    """The lock that every process of this generation holds as long as it lives, once the last generation has ended."""
    lock = os.open(data_dir / "processes.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                raise SupervisorError(
                    f"Processes of an earlier run in {data_dir} do not end; end them first."
                ) from None
            await asyncio.sleep(0.1)
        else:
            return lock


async def _first_byte(fd: int, patience: float) -> bool | None:
    """Whether a byte comes before the end of file; None where neither does in time."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(fd, readable.set)
    try:
        async with asyncio.timeout(patience):
            await readable.wait()
    except TimeoutError:
        return None
    finally:
        loop.remove_reader(fd)
    return os.read(fd, 1) != b""


def _fate(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return "ended by itself" if status == 0 else f"ended with exit status {status}"

"""Processes of the product's own commands, born in a moment: forked from one that has loaded everything already.

Each is a real process with its own environment, log, event loop and connections, and runs what `orchestrator serve` or
`orchestrator engine` runs; only the seconds of importing are shared.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import psutil

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.processes.nursery", "app.main", "app.wiring", "app.cli.processes", "uvicorn"])
_END_S = 30


def serve() -> None:
    """`orchestrator serve`, as the environment says."""
    from app.cli.processes import serve_api  # noqa: PLC0415 - the tests' own process need not load it

    serve_api({})


def engine() -> None:
    """`orchestrator engine`, as the environment says."""
    from app.cli.processes import run_engine  # noqa: PLC0415 - as above

    run_engine()


@dataclass
class ServiceProcess:
    """A running process, to be killed, stopped, woken and ended."""

    command: Callable[[], None]
    environment: Mapping[str, str]
    log: Path
    _process: ForkServerProcess = field(init=False)

    def __post_init__(self) -> None:
        self._process = _FORKS.Process(target=_live, args=(self.command, dict(self.environment), self.log))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self.end_status()

    def stop(self) -> None:
        """`kill -STOP`."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """`kill -CONT`."""
        self._signal(signal.SIGCONT)

    def is_stopped(self) -> bool:
        """Whether it sleeps as after `kill -STOP`; an AssertionError with its log where it has ended."""
        assert self._process.is_alive(), self.said()
        return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED

    def is_dead(self) -> bool:
        """Whether it has ended."""
        return not self._process.is_alive()

    def ask_to_end(self) -> None:
        """`kill`, the graceful one."""
        self._signal(signal.SIGTERM)

    def end(self) -> int:
        """Ask it to end and wait for that; its exit status."""
        self.ask_to_end()
        return self.end_status()

    def close(self) -> None:
        """End it in whatever state it is."""
        if self._process.is_alive():
            self.kill()
        self._process.close()

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _signal(self, number: signal.Signals) -> None:
        assert self._process.is_alive(), self.said()
        os.kill(self.pid, number)

    def end_status(self) -> int:
        """Wait until it has ended; its exit status."""
        self._process.join(_END_S)
        assert self._process.exitcode is not None, f"it does not end:\n{self.said()}"
        return self._process.exitcode


def _live(command: Callable[[], None], environment: Mapping[str, str], log: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(log.parent)
    with log.open("ab", buffering=0) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    command()


def _end_with_the_tests() -> None:
    tests = multiprocessing.parent_process()
    assert tests is not None
    tests.join()
    os.kill(os.getpid(), signal.SIGKILL)

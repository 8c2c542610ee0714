"""A server process of a benchmark, and what it costs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

PATIENCE_S = 60.0


class Server:
    """A process that printed its port when it listened."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.port = int(process.stdout.readline())
        self._process = psutil.Process(process.pid)

    @property
    def cpu_s(self) -> float:
        """Spent so far."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    @property
    def rss_mib(self) -> float:
        """Its memory now."""
        return float(self._process.memory_info().rss) / 2**20


@contextmanager
def server(module: str, *arguments: str) -> Iterator[Server]:
    """`python -m module arguments` for as long as it is used; it ends with its standard input."""
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        yield Server(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=PATIENCE_S)

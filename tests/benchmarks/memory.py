"""Rest: what parked sagas cost a process, and how soon the command answers and the service is ready.

python -m tests.benchmarks.memory [--json] [--sagas N] [--rounds N]
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from urllib.error import URLError
from urllib.request import urlopen

from app.settings import PREFIX
from tests.benchmarks.child import Child
from tests.benchmarks.crowd import copy
from tests.benchmarks.durable import durable_server
from tests.benchmarks.report import Measure, Options, options, show
from tests.benchmarks.workload import run
from tests.support_rabbitmq import free_port

NAME = "memory"
_SETTLE_S = 3.0
_COMMAND = Path(sys.executable).with_name("orchestrator")


async def measure(url: str, given: Options) -> list[Measure]:
    """The service without and with that many parked sagas, then the commands."""
    child = await Child.start(url, branches=3)
    await child.ask("park", 3, 1)
    await child.kill()
    alone = await _resting(url)
    await copy(url, given.sagas, status="AWAITING_INPUT")
    crowded = await _resting(url)
    return [
        Measure(NAME, "rss", round(crowded, 1), "MiB", round(alone, 1), round(alone / crowded, 3)),
        Measure(NAME, "rss_added_by_parked_sagas", round(crowded - alone, 1), "MiB", 0),
        Measure(NAME, "serve_ready", round(median(_ready_s(url) for _ in range(given.rounds)), 3), "s"),
        Measure(NAME, "help", round(median(_help_s() for _ in range(given.rounds)), 3), "s"),
    ]


async def _resting(url: str) -> float:
    child = await Child.start(url, branches=3)
    await asyncio.sleep(_SETTLE_S)
    await child.ask("one")
    await asyncio.sleep(_SETTLE_S)
    memory = child.rss_mib()
    await child.kill()
    return memory


def _ready_s(url: str) -> float:
    """`orchestrator serve`, until it answers; GitLab is away, which keeps nobody from starting."""
    port = free_port()
    own = {"DATABASE_URL": url, "GITLAB_URL": f"http://127.0.0.1:{free_port()}", "GITLAB_TOKEN": "none", "AUTH": "demo"}
    environment = {**os.environ, **{f"{PREFIX}{name}": value for name, value in own.items()}}
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        process = subprocess.Popen(
            [_COMMAND, "serve", "--port", str(port)],
            env=environment,
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not _answers(f"http://127.0.0.1:{port}/healthz"):
                if process.poll() is not None:
                    raise RuntimeError(f"serve has ended with {process.returncode}")
                time.sleep(0.005)
            return time.perf_counter() - began
        finally:
            process.kill()
            process.wait()


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, ConnectionError):
        return False


def _help_s() -> float:
    began = time.perf_counter()
    subprocess.run([_COMMAND, "--help"], capture_output=True, check=True)
    return time.perf_counter() - began


def main() -> None:
    given, as_json = options("What parked sagas cost a process at rest.", sagas=100_000)
    with durable_server() as url:
        show(run(measure(url, given)), as_json=as_json)


if __name__ == "__main__":
    main()

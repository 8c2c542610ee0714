"""Broker, result backend, producer and worker processes for tests of the whole way of a task."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from celery import Celery
from celery.result import AsyncResult

from app.adapters.celery_config import celery_config
from tests.support import eventually_sync
from tests.worker.repositories import Origin

ROOT = Path(__file__).parents[2]
QUEUE = "balance.calculations"
TOKEN = "glpat-very-secret-token"


class Setting:
    """Broker, result backend and producer that a test's workers share."""

    def __init__(self, broker_url: str, result_backend: str, tmp_path: Path) -> None:
        self.logs = tmp_path / "worker.log"
        self.settings = {
            "broker_url": broker_url,
            "result_backend": result_backend,
            "gitlab_token": TOKEN,
            "work_dir": str(tmp_path / "clones"),
            "gitlab_url": f"file://{tmp_path}",
            "pool": "solo",
        }
        self.producer = Celery("producer", set_as_current=False)
        self.producer.conf.update(celery_config(self.settings["broker_url"], self.settings["result_backend"], (QUEUE,)))

    def send(self, message: dict[str, object]) -> AsyncResult:
        # A connection of its own: kombu's pools keep those that broke while the broker was away.
        with self.producer.connection_for_write() as connection:
            return self.producer.send_task(
                "balance.calculate_condenser",
                args=[message],
                task_id=message["correlationId"],
                queue=QUEUE,
                connection=connection,
            )

    @contextmanager
    def worker(self, **changed: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker that is ready; killed at the end if it still runs."""
        said = self.logs.read_text(encoding="utf-8").count(" ready.") if self.logs.exists() else 0
        with self.logs.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.worker.worker_process", json.dumps(self.settings | changed)],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        try:
            eventually_sync(
                lambda: self.logs.read_text(encoding="utf-8").count(" ready.") > said,
                timeout=60,
                what="the worker is ready",
            )
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def wait_for(result: AsyncResult, timeout: float = 60) -> None:
    eventually_sync(lambda: result.status in {"SUCCESS", "FAILURE"}, timeout=timeout, every=0.2, what="the task ends")


def stop_pushes(origin: Origin) -> tuple[Path, Path]:
    """Pushes touch the first file and wait for the second."""
    reached, go_on = origin.path.parent / "reached", origin.path.parent / "go_on"
    hook = origin.path / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\ntouch {reached}\nwhile [ ! -e {go_on} ]; do sleep 0.05; done\n")
    hook.chmod(0o755)
    return reached, go_on


def kill_with_children(pid: int) -> None:
    """kill -9 of a process and of everything it has started, the parent first."""
    parent = psutil.Process(pid)
    family = [parent, *parent.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, timeout=5)

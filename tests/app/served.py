"""`orchestrator serve` as a process of its own, over a real database; GitLab is away, so only what needs none of it works."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.support import eventually
from tests.support_emulator import free_port


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def memory(self) -> int:
        """Bytes that it holds."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def said(self) -> str:
        """Its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")


@asynccontextmanager
async def served(database_url: str, folder: Path) -> AsyncIterator[Served]:
    """The process, once it answers; ended in order at the end."""
    port = free_port()
    given = {
        "DATABASE_URL": database_url,
        "GITLAB_URL": "http://127.0.0.1:9",
        "GITLAB_TOKEN": "not-asked",
        "AUTH": "demo",
        "PORT": str(port),
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
    environment = clean | {f"ORCHESTRATOR_{name}": value for name, value in given.items()}
    log = folder / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--no-engine"],
            stdout=out,
            stderr=out,
            env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
            cwd=folder,
        )
    made = Served(f"http://127.0.0.1:{port}/graphql", process, log)
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            await eventually(lambda: _answers(http, made), timeout=60, what="the server answers")
        yield made
    finally:
        process.terminate()
        process.wait(30)


async def _answers(http: httpx.AsyncClient, server: Served) -> bool:
    assert server.process.poll() is None, server.said()
    try:
        return (await http.get(server.url.replace("/graphql", "/healthz"))).is_success
    except httpx.TransportError:
        return False

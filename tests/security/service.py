"""The service as a process of its own, over a real database and a running GitLab emulator, and a client as anybody has."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from app.adapters.celery_config import install_pgmq
from tests.support import eventually_sync
from tests.support_emulator import MAINTAINER, Emulator, EmulatorUser, free_port

ROOT = Path(__file__).parents[2]
WEBHOOK_SECRET = "only-this-gitlab-knows-it"


@dataclass
class LiveService:
    """A running `orchestrator serve`, and where its log is."""

    url: str
    database_url: str
    gitlab: Emulator
    user: EmulatorUser
    """GitLab's user whose token the service has."""
    log: Path
    process: "subprocess.Popen[bytes]"
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.url, timeout=60)

    @property
    def socket_url(self) -> str:
        return f"ws{self.url.removeprefix('http')}/graphql"

    def post(self, query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """The whole answer to one operation."""
        response = self.http.post("/graphql", json={"query": query, "variables": variables}, headers=bearer(token))
        answer: dict[str, Any] = response.json()
        return answer

    def ask(self, query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """The data of an operation that must not fail."""
        answer = self.post(query, token, **variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def rows(self, query: str, *arguments: object) -> Sequence[tuple[Any, ...]]:
        """What the database answers."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(query, arguments).fetchall()

    def logged(self) -> str:
        """Everything that the process wrote so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def bearer(token: str | None) -> dict[str, str]:
    """The header of a user with this token."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}


@contextmanager
def live_service(
    database_url: str, gitlab: Emulator, folder: Path, settings: Mapping[str, str] | None = None, *, name: str = "serve"
) -> Iterator[LiveService]:
    """The process, as soon as it is ready; ended at the block's end. `settings` are without their prefix."""
    install_pgmq(database_url)
    user, port = gitlab.create_user(), free_port()
    given = {
        "DATABASE_URL": database_url,
        "GITLAB_URL": gitlab.url,
        "GITLAB_TOKEN": user.token,
        "GITLAB_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "AUTH": "gitlab",
        "LOG_LEVEL": "DEBUG",
        "LIMIT_RATE": "1000000000",
        **(settings or {}),
    }
    known = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
    environment = known | {f"ORCHESTRATOR_{key}": value for key, value in given.items()} | {"PYTHONPATH": str(ROOT)}
    log = folder / f"{name}.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--port", str(port)],
            env=environment,
            cwd=folder,
            stdout=written,
            stderr=written,
        )
    service = LiveService(f"http://127.0.0.1:{port}", database_url, gitlab, user, log, process)
    try:
        eventually_sync(lambda: _is_ready(service), timeout=180, what="the service is ready")
        yield service
    finally:
        service.http.close()
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_ready(service: LiveService) -> bool:
    assert service.process.poll() is None, service.logged()
    try:
        return bool(service.http.get("/readyz").json()["status"] == "ready")
    except httpx.TransportError:
        return False


def let_in(service: LiveService, project_id: int) -> None:
    """Make the service's user Maintainer of the project."""
    service.gitlab.add_member(project_id, service.user.id, MAINTAINER)

"""The demo's five processes on one machine: PostgreSQL, GitLab, API, engine, worker, and where they are found."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from app.adapters.celery_config import default_broker_url, install_pgmq, is_pgmq
from app.adapters.embedded import PostgresServer
from app.demo.seed import ENGINEER, Secrets, seed
from app.demo.supervisor import Service, Supervisor, SupervisorError, supervising
from app.migrate import migrate

USUAL_PORT = 8000
_LOCAL = "127.0.0.1"
_ALL = ("postgres", "gitlab", "api", "engine", "worker")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the servers listen; kept over runs, so that addresses in GitLab and in messages stay true."""

    postgres: int
    gitlab: int
    api: int

    @classmethod
    def choose(cls, path: Path, api: int | None) -> "Ports":
        """Those of the last run where they are still free, else free ones.

        `api` is what was asked for: 0 means any, None the last one or the usual one. Raises SupervisorError where the
        very port that was asked for is taken.
        """
        known: Mapping[str, int] = {}
        with suppress(FileNotFoundError, ValueError):
            known = json.loads(path.read_text(encoding="utf-8"))
        wanted = (api,) if api else (known.get("api"), None if api == 0 else USUAL_PORT)
        chosen = cls(_free(known.get("postgres")), _free(known.get("gitlab")), _free(*wanted))
        if api and chosen.api != api:
            raise SupervisorError(f"Port {api} is taken; name another with --port, or 0 for a free one.")
        path.write_text(json.dumps(asdict(chosen)) + "\n", encoding="utf-8")
        return chosen


@dataclass(frozen=True, slots=True)
class Stack:
    """The running demo."""

    data_dir: Path
    ports: Ports
    secrets: Secrets
    database_url: str
    supervisor: Supervisor

    @property
    def console(self) -> str:
        """The API's first page."""
        return f"http://{_LOCAL}:{self.ports.api}/"

    @property
    def graphql(self) -> str:
        """The API itself; a browser gets an explorer there."""
        return f"{self.console}graphql"

    @property
    def gitlab(self) -> str:
        """GitLab's address."""
        return f"http://{_LOCAL}:{self.ports.gitlab}"


@asynccontextmanager
async def running_stack(data_dir: Path, port: int | None, said: Callable[[str], None]) -> AsyncIterator[Stack]:
    """Everything started in order and kept running; `endpoints.json` is true while this lasts.

    Raises SupervisorError where something does not come up.
    """
    endpoints = Endpoints(data_dir / "endpoints.json")
    async with supervising(data_dir, said=said, changed=endpoints.pids_changed) as supervisor:
        endpoints.forget()
        ports = Ports.choose(data_dir / "ports.json", port)
        stack = await _start(data_dir, ports, supervisor, said)
        endpoints.announce(stack)
        try:
            yield stack
        finally:
            endpoints.forget()


async def _start(data_dir: Path, ports: Ports, supervisor: Supervisor, said: Callable[[str], None]) -> Stack:
    database_url = await _start_postgres(data_dir, ports, supervisor)
    said(f"PostgreSQL answers on port {ports.postgres}")
    secrets_file = data_dir / "secrets.json"
    secrets = Secrets.load(secrets_file)
    secrets.save(secrets_file)
    gitlab = f"http://{_LOCAL}:{ports.gitlab}"
    await supervisor.start(_emulator(data_dir, ports, secrets))
    secrets = await asyncio.to_thread(seed, gitlab, secrets, f"http://{_LOCAL}:{ports.api}/webhooks/gitlab")
    secrets.save(secrets_file)
    said(f"GitLab answers at {gitlab}")
    stack = Stack(data_dir, ports, secrets, database_url, supervisor)
    environment = _environment(stack)
    worker = {**environment, "ORCHESTRATOR_GITLAB_TOKEN": secrets.worker_token}
    clones = str(data_dir / "worker")
    await supervisor.start_all(
        Service("api", _command("serve", "--no-engine"), {**environment, "ORCHESTRATOR_METRICS": "true"}),
        Service("engine", _command("engine"), environment),
        Service("worker", _command("demo-worker", "--work-dir", clones), worker),
    )
    said(f"the API answers at {stack.graphql}; engine and worker are at work")
    return stack


async def _start_postgres(data_dir: Path, ports: Ports, supervisor: Supervisor) -> str:
    folder = data_dir / "postgres"
    command = _command("postgres", "--data-dir", str(folder), "--port", str(ports.postgres))
    await supervisor.start(Service("postgres", command, pid=lambda _: _postmaster(folder)))
    url = PostgresServer(folder, port=ports.postgres).url
    await migrate(url)
    if is_pgmq(_broker(url)):
        await asyncio.to_thread(install_pgmq, url)
    return url


def _postmaster(folder: Path) -> int | None:
    """The server's own process: the one that was launched only looks after it."""
    with suppress(FileNotFoundError, ValueError, IndexError):
        return int((folder / "cluster" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    return None


def _emulator(data_dir: Path, ports: Ports, secrets: Secrets) -> Service:
    command = _command("gitlab-emulator", "--data-dir", str(data_dir / "gitlab"), "--port", str(ports.gitlab))
    return Service("gitlab", command, {"ORCHESTRATOR_EMULATOR_ADMIN_TOKEN": secrets.admin_token})


def _environment(stack: Stack) -> Mapping[str, str]:
    """The settings of API, engine and worker; whoever starts the demo may have set a broker, the rest is ours."""
    return {
        "ORCHESTRATOR_DATABASE_URL": stack.database_url,
        "ORCHESTRATOR_BROKER_URL": _broker(stack.database_url),
        "ORCHESTRATOR_GITLAB_URL": stack.gitlab,
        "ORCHESTRATOR_GITLAB_TOKEN": stack.secrets.service_token,
        "ORCHESTRATOR_GITLAB_WEBHOOK_SECRET": stack.secrets.webhook_secret,
        "ORCHESTRATOR_AUTH": "demo",
        "ORCHESTRATOR_DEMO_USER": ENGINEER,
        "ORCHESTRATOR_HOST": _LOCAL,
        "ORCHESTRATOR_PORT": str(stack.ports.api),
        "ORCHESTRATOR_PUBLIC_URL": stack.console,
        "ORCHESTRATOR_RESULT_BACKEND": "",
        "ORCHESTRATOR_BROADCAST_URL": "",
    }


def _broker(database_url: str) -> str:
    return os.environ.get("ORCHESTRATOR_BROKER_URL") or default_broker_url(database_url)


class Endpoints:
    """`endpoints.json`: there once all answer, its pids always those of the processes that do the work."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack: Stack | None = None

    def announce(self, stack: Stack) -> None:
        """All answer."""
        self._stack = stack
        self.pids_changed(stack.supervisor.pids)

    def pids_changed(self, pids: Mapping[str, int]) -> None:
        """A process has been started anew."""
        stack = self._stack
        if stack is None:
            return
        content = {
            "console": stack.console,
            "graphql": stack.graphql,
            "gitlab": stack.gitlab,
            "gitlab_token": stack.secrets.admin_token,
            "database_url": stack.database_url,
            "broker_url": _broker(stack.database_url),
            "pids": {name: pids[name] for name in _ALL},
        }
        new = self._path.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        new.replace(self._path)

    def forget(self) -> None:
        """Nothing answers any more."""
        self._stack = None
        self._path.unlink(missing_ok=True)


def _command(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "app.cli", *arguments)


def _free(*wanted: int | None) -> int:
    """The first of these ports that is free, else any."""
    for port in (*wanted, 0):
        if port is None:
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((_LOCAL, port))
            return int(probe.getsockname()[1])
    raise AssertionError("port 0 is always free")

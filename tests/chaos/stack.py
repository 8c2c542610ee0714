"""The service as it runs in production, on this machine: several APIs and engines, a worker, GitLab, a broker, PostgreSQL.

All processes are kept running by the demo's supervisor: whatever is killed is started again, as a container platform
would.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psutil

from app.adapters.celery_config import default_broker_url, install_pgmq
from app.adapters.embedded import PostgresServer
from app.demo.sample import sample_files
from app.demo.seed import ENGINEER, SERVICE, WORKER, Secrets, seed
from app.demo.supervisor import Pace, Service, Supervisor, supervising
from app.migrate import migrate
from tests.chaos import broker_process, engine_only
from tests.chaos.history import Back, Killed, Tape, now
from tests.chaos.plan import Kind, Options
from tests.support_emulator import DEVELOPER, MAINTAINER, Emulator, free_port
from tests.support_rabbitmq import RabbitMq

ROOT = Path(__file__).parents[2]
COLLEAGUE = "pavel.orlov"
STORIES_A_PROJECT = 50
_PATIENT = Pace(start=180, stop=10)


@dataclass(frozen=True, slots=True)
class Job:
    """An issue of the engineer's, for one Balance saga."""

    project: str
    project_id: int
    iid: int


@dataclass
class Stack:
    """The running processes and where they are found."""

    folder: Path
    supervisor: Supervisor
    tape: Tape
    options: Options
    database_url: str = ""
    broker_url: str = ""
    gitlab: Emulator = field(init=False)
    colleagues_token: str = ""
    api_ports: list[int] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    _up: dict[str, int] = field(default_factory=dict)

    @property
    def graphql(self) -> list[str]:
        """The addresses of the APIs."""
        return [f"http://127.0.0.1:{port}/graphql" for port in self.api_ports]

    @property
    def projects(self) -> dict[str, int]:
        """Path to id."""
        return {job.project: job.project_id for job in self.jobs}

    def came_up(self, pids: Mapping[str, int]) -> None:
        """The supervisor says that a process answers: noted where it is a new one."""
        for process, pid in pids.items():
            if self._up.get(process) != pid:
                self._up[process] = pid
                self.tape.write(Back(now(), kind_of(process), process))

    async def kill(self, kind: Kind, which: float) -> str | None:
        """`kill -9` for a process of the kind that is alive, and its name; None where there is none, or none comes up."""
        if not any(kind_of(name) == kind for name in self._up):
            return None
        for _ in range(100):
            alive = [name for name, pid in sorted(self._up.items()) if kind_of(name) == kind and _is_alive(pid)]
            if alive:
                process = alive[int(which * len(alive))]
                self.tape.write(Killed(now(), kind, process))
                os.kill(self._up[process], signal.SIGKILL)
                return process
            await asyncio.sleep(0.1)
        return None


def kind_of(process: str) -> str:
    """The kind of a process, from its name: `engine-2` is an engine."""
    return process.partition("-")[0]


@asynccontextmanager
async def running_stack(folder: Path, options: Options, tape: Tape) -> AsyncIterator[Stack]:
    """Everything started, seeded and kept running; ended in order at the end.

    Raises SupervisorError where something does not come up.
    """
    stack: list[Stack] = []

    def changed(pids: Mapping[str, int]) -> None:
        if stack:
            stack[0].came_up(pids)

    async with supervising(folder, said=lambda _: None, changed=changed, pace=_PATIENT) as supervisor:
        stack.append(Stack(folder, supervisor, tape, options))
        await _start(stack[0])
        yield stack[0]


async def _start(stack: Stack) -> None:
    supervisor, folder = stack.supervisor, stack.folder
    await _start_postgres(stack)
    port = free_port()
    secrets = Secrets.load(folder / "secrets.json")
    command = _product("gitlab-emulator", "--data-dir", str(folder / "gitlab"), "--port", str(port))
    gitlab = Service("gitlab", command, _clean({"ORCHESTRATOR_EMULATOR_ADMIN_TOKEN": secrets.admin_token}))
    broker = _broker(stack)
    await supervisor.start_all(*(service for service in (gitlab, broker) if service is not None))
    if broker is None:
        stack.broker_url = default_broker_url(stack.database_url)
        await asyncio.to_thread(install_pgmq, stack.database_url)
    stack.gitlab = Emulator(f"http://127.0.0.1:{port}", secrets.admin_token, 0, folder / "gitlab")
    stack.api_ports = [free_port() for _ in range(stack.options.apis)]
    hook = f"http://127.0.0.1:{stack.api_ports[0]}/webhooks/gitlab"
    secrets = await asyncio.to_thread(seed, stack.gitlab.url, secrets, hook)
    await asyncio.to_thread(_set_the_stage, stack, secrets, hook)
    engine_only.write_catalogue(folder / "catalogue.json")
    environment = _environment(stack, secrets)
    worker = {**environment, "ORCHESTRATOR_GITLAB_TOKEN": secrets.worker_token}
    await supervisor.start_all(
        *(
            Service(f"api-{number}", _test("serve", "--no-engine", "--port", str(port)), environment)
            for number, port in enumerate(stack.api_ports, start=1)
        ),
        *(Service(f"engine-{number}", _test("engine"), environment) for number in range(1, stack.options.engines + 1)),
        *(
            Service(f"worker-{number}", _product("demo-worker", "--work-dir", str(folder / f"worker-{number}")), worker)
            for number in range(1, stack.options.workers + 1)
        ),
    )


async def _start_postgres(stack: Stack) -> None:
    folder, port = stack.folder / "postgres", free_port()
    command = _product("postgres", "--data-dir", str(folder), "--port", str(port))
    cluster = folder / "cluster" / "postmaster.pid"
    await stack.supervisor.start(Service("postgres", command, _clean({}), pid=lambda _: _pid_in(cluster)))
    stack.database_url = PostgresServer(folder, port=port).url
    await migrate(stack.database_url)


def has_rabbitmq() -> bool:
    """Whether RabbitMQ is installed here."""
    return any(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))


def _broker(stack: Stack) -> Service | None:
    """RabbitMQ where it is installed; else the queues are in PostgreSQL."""
    if not has_rabbitmq():
        return None
    folder = stack.folder / "rabbitmq"
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    identity = {
        "port": port,
        "_dist_port": free_port(),
        "_epmd_port": free_port(),
        "_node": f"chaos_{uuid4().hex[:8]}@localhost",
    }
    stack.broker_url = RabbitMq(folder, port).url
    command = (sys.executable, "-m", "tests.chaos.broker_process", str(folder), json.dumps(identity))
    return Service("broker", command, _clean({}), pid=lambda _: _pid_in(folder / broker_process.PID_FILE))


def _pid_in(path: Path) -> int | None:
    with suppress(FileNotFoundError, ValueError, IndexError):
        return int(path.read_text(encoding="utf-8").splitlines()[0])
    return None


def _set_the_stage(stack: Stack, secrets: Secrets, hook: str) -> None:
    """Projects with the sample plant, and an issue in one of them for each Balance saga."""
    gitlab = stack.gitlab
    people = {name: gitlab.api("GET", f"/users?username={name}")[0]["id"] for name in (ENGINEER, SERVICE, WORKER)}
    colleague = gitlab.create_user(COLLEAGUE)
    stack.colleagues_token = colleague.token
    members = {people[ENGINEER]: DEVELOPER, people[SERVICE]: MAINTAINER, people[WORKER]: DEVELOPER}
    for first in range(0, stack.options.balance, STORIES_A_PROJECT):
        project = gitlab.create_project(
            f"plant-{first // STORIES_A_PROJECT}", files=sample_files(), members={**members, colleague.id: DEVELOPER}
        )
        told = {"url": hook, "token": secrets.webhook_secret, "enable_ssl_verification": False, "push_events": True}
        gitlab.api("POST", f"/projects/{project.id}/hooks", told)
        for number in range(first, min(first + STORIES_A_PROJECT, stack.options.balance)):
            given = {"title": f"Variant {number}", "assignee_ids": [people[ENGINEER]]}
            issue = gitlab.api("POST", f"/projects/{project.id}/issues", given)
            stack.jobs.append(Job(project.path, project.id, issue["iid"]))


def _environment(stack: Stack, secrets: Secrets) -> Mapping[str, str]:
    given = {
        "DATABASE_URL": stack.database_url,
        "BROKER_URL": stack.broker_url,
        "GITLAB_URL": stack.gitlab.url,
        "GITLAB_TOKEN": secrets.service_token,
        "GITLAB_WEBHOOK_SECRET": secrets.webhook_secret,
        "GITLAB_TIMEOUT": "3",
        "AUTH": "demo",
        "DEMO_USER": ENGINEER,
        "CATALOGUE": str(stack.folder / "catalogue.json"),
    }
    return _clean({f"ORCHESTRATOR_{name}": value for name, value in given.items()})


def _clean(given: Mapping[str, str]) -> Mapping[str, str]:
    """The settings of a process: what is set where the run was started must not reach it."""
    return {**{name: "" for name in os.environ if name.startswith("ORCHESTRATOR_")}, **given, "PYTHONPATH": str(ROOT)}


def _product(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "app.cli", *arguments)


def _test(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.chaos.service_process", *arguments)


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

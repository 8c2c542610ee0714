"""Where several processes of the service play: one database, one GitLab, a worker, and everything that they leave behind.

Each process's connections carry its name, and a trigger keeps who leased what and when, by the database's
own clock: so tests read from the database who did the work.
"""

import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID, uuid4

import httpx
import psycopg

from app.adapters.celery_config import default_broker_url, default_result_backend, install_pgmq
from app.services import Services
from app.settings import Settings
from app.wiring import open_services
from sagas.faults import ENVIRONMENT_VARIABLE, STOP_VARIABLE
from sagas.ports import User
from tests.contract.brokers import Broker, Delivery
from tests.processes import nursery
from tests.processes.nursery import ServiceProcess
from tests.processes.stand_in_worker import working
from tests.support import eventually
from tests.support_emulator import DEVELOPER, MAINTAINER, Emulator, free_port
from tests.world import CATALOGUE

METRICS_TOKEN = "only-operators-know"
WEBHOOK_SECRET = "only-gitlab-knows"
BRANCH = "issue/7-pipes"
"""A branch that is there from the start; issue 1 has none."""

_LEASES = """
CREATE TABLE lease_taken (saga_id uuid, owner text, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION note_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO lease_taken (saga_id, owner) VALUES (NEW.id, current_setting('application_name'));
    RETURN NULL;
END $$;
CREATE TRIGGER note_lease AFTER UPDATE OF lease_token ON saga FOR EACH ROW
    WHEN (NEW.lease_token IS NOT NULL AND NEW.lease_token IS DISTINCT FROM OLD.lease_token)
    EXECUTE FUNCTION note_lease();
"""
_ROWS = {
    "saga": "SELECT to_jsonb(saga) - 'look_at' - 'look_interval_s' FROM saga ORDER BY id",
    "journal": "SELECT to_jsonb(saga_event) FROM saga_event ORDER BY saga_id, version",
    "tasks": "SELECT to_jsonb(calculation_task) FROM calculation_task ORDER BY id",
    "drafts": "SELECT to_jsonb(draft) FROM draft ORDER BY saga_id, state, visit",
    "signals": "SELECT to_jsonb(signal) FROM signal ORDER BY id",
    "keys": "SELECT to_jsonb(idempotency_record) FROM idempotency_record ORDER BY user_id, mutation, key",
}
"""Everything that the service keeps, but when it looks next, which each process may put off."""


@dataclass
class Stage:
    """One project and one database, with the processes that were started over them."""

    emulator: Emulator
    database_url: str
    folder: Path
    lease_s: float = 1.0
    processes: dict[str, ServiceProcess] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    received: list[str] = field(default_factory=list)
    """The ids of the tasks that workers were sent, in order, doubles included."""

    def __post_init__(self) -> None:
        name = uuid4().hex[:10]
        gitlab = self.emulator
        service, engineer, worker = (gitlab.create_user(f"{role}-{name}") for role in ("service", "irina", "worker"))
        self._token, self._workers_token = service.token, worker.token
        self.engineer = User(engineer.id, engineer.username, "Irina Sokolova", "irina@example.test")
        members = {service.id: MAINTAINER, engineer.id: DEVELOPER, worker.id: DEVELOPER}
        balance = json.dumps({"condenser": {"load": 3}}, indent=2) + "\n"
        self.project = gitlab.create_project(f"unit-{name}", files={"balance_input.json": balance}, members=members)
        gitlab.api("POST", f"/projects/{self.project.id}/issues", {"title": "New tubes"})
        self.make_branch(BRANCH)
        catalogue = self.folder / "catalogue.json"
        catalogue.write_text(json.dumps(CATALOGUE))
        install_pgmq(self.database_url)
        with psycopg.connect(self.database_url) as connection:
            connection.execute(_LEASES)

    def make_branch(self, name: str) -> None:
        self.emulator.api("POST", f"/projects/{self.project.id}/repository/branches", {"branch": name, "ref": "main"})

    # -- processes

    def engine(self, name: str, *, stop_at: str = "", crash_at: str = "") -> ServiceProcess:
        """A new engine."""
        return self._born(name, nursery.engine, {STOP_VARIABLE: stop_at, ENVIRONMENT_VARIABLE: crash_at})

    def api(self, name: str) -> ServiceProcess:
        """A new API without an engine; `graphql` tells where. The same name again is on the same port."""
        self.ports[name] = self.ports.get(name) or free_port()
        given = {"PORT": str(self.ports[name]), "ENGINE_IN_PROCESS": "false", "METRICS_TOKEN": METRICS_TOKEN}
        return self._born(name, nursery.serve, {f"ORCHESTRATOR_{key}": value for key, value in given.items()})

    def graphql(self, api: str) -> str:
        return f"http://127.0.0.1:{self.ports[api]}/graphql"

    async def answers(self, api: str) -> None:
        """Wait until the API takes requests."""
        health = f"http://127.0.0.1:{self.ports[api]}/healthz"
        async with httpx.AsyncClient() as client:

            async def up() -> bool:
                with suppress(httpx.TransportError):
                    return (await client.get(health)).is_success
                return False

            await eventually(up, timeout=90, what=f"{api} answers")

    def tell_of_pushes(self, api: str) -> None:
        """Have GitLab's webhook come to the API."""
        url = f"http://127.0.0.1:{self.ports[api]}/webhooks/gitlab"
        hook = {"url": url, "token": WEBHOOK_SECRET, "push_events": True, "enable_ssl_verification": False}
        self.emulator.api("POST", f"/projects/{self.project.id}/hooks", hook)

    def _born(self, name: str, command: Any, given: Mapping[str, str]) -> ServiceProcess:
        # The name shows at every connection to PostgreSQL.
        database = {"ORCHESTRATOR_DATABASE_URL": f"{self.database_url}?application_name={name}"}
        environment = {**_outer(), **self._settings(), **database, **given}
        self.processes[name] = ServiceProcess(command, environment, self.folder / f"{name}.log")
        return self.processes[name]

    def _settings(self) -> dict[str, str]:
        given = {
            "DATABASE_URL": self.database_url,
            "GITLAB_URL": self.emulator.url,
            "GITLAB_TOKEN": self._token,
            "GITLAB_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "GITLAB_TIMEOUT": "30",
            "AUTH": "demo",
            "DEMO_USER": self.engineer.username,
            "CATALOGUE": str(self.folder / "catalogue.json"),
            "LEASE": f"{self.lease_s:g}",
        }
        return {f"ORCHESTRATOR_{name}": value for name, value in given.items()}

    def delay(self, method: str, path: str, seconds: float) -> int:
        """Let GitLab do the next such request of this project's late; returns the fault."""
        where = f"/projects/{self.project.id}{path}"
        return self.emulator.faults(method=method, path=where, delay_s=seconds, times=1)

    def hits(self, fault: int, *, done: bool = False) -> bool:
        """Whether GitLab has begun on a request that the fault meets, or has answered it."""
        if done:
            return any(one["fault"] == fault for one in self.emulator.requests_seen())
        known = self.emulator.request("GET", "/emulator/faults")
        return any(one["id"] == fault and one["hits"] for one in known)

    def close(self) -> None:
        for process in self.processes.values():
            process.close()

    @asynccontextmanager
    async def services(self) -> AsyncIterator[Services]:
        """The use cases in this very process, over the same database: an API without its HTTP."""
        given = {name.removeprefix("ORCHESTRATOR_").lower(): value for name, value in self._settings().items()}
        async with open_services(Settings(**given)) as opened:  # type: ignore[arg-type]  # texts, as from the environment
            yield opened

    @contextmanager
    def worker(self) -> Iterator[None]:
        """A worker at work, which knows the tasks of those before it."""
        with working(self.broker, self.emulator, self.project.id, self._workers_token, self.received):
            yield

    @property
    def broker(self) -> Broker:
        return Broker(default_broker_url(self.database_url), default_result_backend(self.database_url), "test")

    # -- what is there

    def rows(self, statement: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(statement, values).fetchall()

    def sagas(self) -> list[tuple[UUID, str, str, Any]]:
        """Id, status, state and error of each, oldest first."""
        return [
            (identity, status, state, error)
            for identity, status, state, error in self.rows(
                "SELECT id, status, state, error FROM saga ORDER BY created_at"
            )
        ]

    def at_rest(self) -> bool:
        """Whether no saga is due or leased: each waits for somebody, or is at its end."""
        found = self.rows("SELECT status, state, error, lease_token, attempts FROM saga")
        moving = [row for row in found if row[0] in {"RUNNING", "CANCELLING"} or row[3] is not None]
        assert not moving, f"{moving}\n{self.logs()}"
        return bool(found)

    def kept(self) -> dict[str, list[Any]]:
        """Everything in the database that must not change by itself."""
        with psycopg.connect(self.database_url) as connection:
            return {name: [row for (row,) in connection.execute(query)] for name, query in _ROWS.items()}

    def in_gitlab(self) -> dict[str, Any]:
        """Every branch's head, every merge request, and how many messages the queue holds."""
        branches = self._get("/repository/branches?per_page=100")
        return {
            "branches": {found["name"]: found["commit"]["id"] for found in branches},
            "merge requests": [(found["iid"], found["state"]) for found in self._get("/merge_requests?state=all")],
            "messages": self.rows("SELECT coalesce(sum(queue_length), 0)::int FROM pgmq.metrics_all()"),
        }

    def messages(self) -> list[Delivery]:
        """All messages, taken out of the queue."""
        ((count,),) = self.in_gitlab()["messages"]
        return self.broker.waiting(count=count)

    def effects(self, branch: str) -> Counter[str]:
        """The Saga-Step trailers of the branch's commits, if it is there."""
        commits = self._get(f"/repository/commits?ref_name={branch}&trailers=true&per_page=100") or []
        return Counter(commit["trailers"]["Saga-Step"] for commit in commits if "Saga-Step" in commit["trailers"])

    def writes_since(self, seen: int) -> list[str]:
        """The requests to GitLab that change something, after a number of its log."""
        since = self.emulator.requests_seen(seen)
        return [
            f"{one['method']} {one['path']} {one['status']}" for one in since if one["method"] not in {"GET", "HEAD"}
        ]

    def requests_so_far(self) -> int:
        return max((one["seq"] for one in self.emulator.requests_seen()), default=0)

    def metrics(self, api: str) -> dict[str, float]:
        """What the API measures now, by name and labels as Prometheus writes them."""
        where = f"http://127.0.0.1:{self.ports[api]}/metrics"
        answer = httpx.get(where, headers={"Authorization": f"Bearer {METRICS_TOKEN}"}, timeout=30)
        assert answer.is_success, answer.text
        lines = (line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def logs(self) -> str:
        return "\n".join(f"== {name}\n{process.said()[-3000:]}" for name, process in self.processes.items())

    def _get(self, path: str) -> Any:
        return self.emulator.api("GET", f"/projects/{self.project.id}{path}")


def _outer() -> dict[str, str]:
    """This process's environment without its settings for the service."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}

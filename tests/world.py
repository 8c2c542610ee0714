"""A small world for the engine: real PostgreSQL, and in-memory GitLab, broker and rights behind the ports."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

from sagas.catalogue import Catalogue
from sagas.definitions import shipped_definitions
from sagas.engine import Engine, EngineSettings
from sagas.ids import SagaId, TaskId
from sagas.models import EventType, Saga, SagaStatus
from sagas.ports import Json, Project, TaskReport, TaskState, User
from sagas.service import Desk, SagaService
from sagas.steps.run import Tools
from sagas.store import commands
from sagas.store.database import Database
from sagas.store.definitions import DefinitionStore
from tests.fake_forge import FakeForge
from tests.fakes import FakeAccess, FakeAnnouncer, FakePublisher
from tests.support import eventually

ENGINEER = User(7, "irina", "Irina Sokolova", "irina@example.test")
COLLEAGUE = User(8, "pavel", "Pavel Orlov", "pavel@example.test")
FAST = EngineSettings(
    lease=timedelta(seconds=2),
    renew_every=timedelta(seconds=0.5),
    poll_every=timedelta(seconds=0.1),
    grace=timedelta(seconds=2),
)

CATALOGUE: dict[str, Json] = {
    "calculations": [
        {
            "name": name,
            "title": {"en": name.capitalize(), "ru": name},
            "input_file": f"{name}_input.json",
            "output_file": f"{name}_output.json",
            "task": f"test.{name}",
            "queue": "test",
            "depends_on": list(depends_on),
            "uses_files": [],
            "hydration": [{"from": "balance_input.json", "pointer": f"/{name}/load", "to": "/load", "default": 1}]
            if name != "balance"
            else [],
            "deadline_s": 600,
            "input_schema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {"load": {"type": "number", "minimum": 0, "maximum": 1000}},
                "required": ["load"] if name != "balance" else [],
                "additionalProperties": name == "balance",
            },
        }
        for name, depends_on in (
            ("condenser", ()),
            ("feedwater_heaters", ()),
            ("balance", ("condenser", "feedwater_heaters")),
        )
    ]
}
"""The shape of the shipped catalogue with the smallest documents."""


@dataclass
class World:
    """Everything that a test of the engine touches."""

    database: Database
    forge: FakeForge
    publisher: FakePublisher
    access: FakeAccess
    announcer: FakeAnnouncer
    definitions: DefinitionStore
    catalogue: Catalogue
    service: SagaService
    desk: Desk
    project: Project
    engines: list[Engine] = field(default_factory=list)

    @property
    def tools(self) -> Tools:
        return Tools(self.forge, self.publisher, self.database)

    def engine(self, settings: EngineSettings = FAST) -> Engine:
        return Engine(self.tools, self.definitions, self.announcer, settings=settings)

    @asynccontextmanager
    async def running(self, settings: EngineSettings = FAST) -> AsyncIterator[Engine]:
        """An engine at work; it is stopped gracefully at the end."""
        engine = self.engine(settings)
        self.desk.wakers.append(engine)
        task = asyncio.create_task(engine.run())
        try:
            yield engine
        finally:
            engine.stop()
            await task
            self.desk.wakers.remove(engine)

    async def saga(self, saga_id: UUID) -> Saga:
        found = await self.database.read(lambda connection: commands.saga(connection, saga_id))
        assert found is not None
        return found

    async def reaches(self, saga_id: UUID, state: str, status: SagaStatus | None = None, timeout: float = 10) -> Saga:
        """Wait until the saga rests in the state (with the status)."""

        async def there() -> Saga | None:
            saga = await self.saga(saga_id)
            assert (saga.state, saga.status) == (state, status or saga.status), (
                f"{saga.status} in {saga.state}: {saga.error}"
            )
            return saga

        return await eventually(there, timeout=timeout)

    async def is_now(self, saga_id: UUID, status: SagaStatus, timeout: float = 10) -> Saga:
        async def there() -> Saga | None:
            saga = await self.saga(saga_id)
            assert saga.status is status, f"{saga.status} in {saga.state}: {saga.error}"
            return saga

        return await eventually(there, timeout=timeout)

    async def journal(self, saga_id: UUID) -> list[tuple[int, EventType, str | None, str, SagaStatus]]:
        records = await self.database.read(
            lambda c: c.fetch("SELECT * FROM saga_event WHERE saga_id = $1 ORDER BY version", saga_id)
        )
        return [
            (r["version"], EventType(r["type"]), r["from_state"], r["to_state"], SagaStatus(r["status"]))
            for r in records
        ]

    async def types(self, saga_id: UUID) -> list[EventType]:
        return [entry[1] for entry in await self.journal(saga_id)]

    async def start(self, branch: str = "issue/1-test", key: str | None = None) -> Saga:
        answer = await self.service.start_balance(
            ENGINEER, project_path=self.project.path, branch=branch, idempotency_key=key
        )
        return answer.saga

    async def give(self, saga_id: UUID, calculation: str, load: float = 5) -> None:
        """Wait for the form of a calculation and give its values."""
        step = f"AWAIT_USER_{calculation.upper()}_INPUT"
        await self.reaches(saga_id, step, SagaStatus.AWAITING_INPUT)
        await self.service.advance(ENGINEER, SagaId(saga_id), step=step, values={"load": load})

    async def published(self, saga_id: UUID, calculation: str, timeout: float = 10) -> TaskId:
        """Wait until the saga waits for the calculation's result; returns the task."""
        state = f"AWAIT_{calculation.upper()}_RESULT"
        saga = await self.reaches(saga_id, state, SagaStatus.AWAITING_RESULT, timeout)
        return TaskId(UUID(saga.context["calculations"][calculation]["taskId"]))

    async def work(self, saga_id: UUID, calculation: str, document: Json | None = None) -> TaskId:
        """Be the worker: push the output with its trailer, report success, and have GitLab's webhook come."""
        task = await self.published(saga_id, calculation)
        saga = await self.saga(saga_id)
        text = json.dumps(document if document is not None else {"of": calculation}, indent=2) + "\n"
        commit = self.forge.write(
            self.project,
            saga.branch,
            f"{calculation}_output.json",
            text,
            author=User(99, "worker", "Worker", "worker@example.test"),
            trailers={"Correlation-Id": str(task)},
        )
        self.publisher.finish(task, TaskReport(TaskState.SUCCEEDED, commit.sha))
        await self.pushed(saga.branch)
        return task

    async def pushed(self, branch: str) -> None:
        """GitLab's webhook about a push."""
        await self.service.webhook(delivery_id=str(uuid4()), project_id=self.project.id, branch=branch)

    async def run_through(self, saga_id: UUID) -> Saga:
        """The whole job, from the first form to COMPLETED."""
        for calculation in ("condenser", "feedwater_heaters"):
            await self.give(saga_id, calculation)
            await self.work(saga_id, calculation)
        await self.work(saga_id, "balance")
        return await self.reaches(saga_id, "COMPLETED", SagaStatus.COMPLETED)


@asynccontextmanager
async def new_world(database_url: str, catalogue: dict[str, Json] | None = None) -> AsyncIterator[World]:
    """A world with one project, `plant/unit`, whose branch issue/1-test holds a balance_input.json."""
    database = await Database.open(database_url, size=8)
    try:
        forge, publisher, access, announcer = FakeForge(), FakePublisher(), FakeAccess(), FakeAnnouncer()
        loaded = Catalogue.from_json(catalogue or CATALOGUE)
        definitions = DefinitionStore(database)
        await definitions.register(shipped_definitions(loaded).values())
        balance = json.dumps({"condenser": {"load": 3}}, indent=2) + "\n"
        project = forge.add_project("plant/unit", {"balance_input.json": balance})
        forge.add_branch(project, "issue/1-test")
        desk = Desk(database, forge, access, definitions, loaded, announcer)
        yield World(
            database, forge, publisher, access, announcer, definitions, loaded, SagaService(desk), desk, project
        )
    finally:
        await database.close()

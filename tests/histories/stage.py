"""Where histories are made and gone on with: the shipped definitions over real PostgreSQL and a GitLab in memory.

A history is everything that a release has left of one saga: its rows, the document of its definition, and its repository.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from app.demo.sample import sample_files, user_inputs
from sagas.catalogue import Catalogue
from sagas.definitions import shipped_definitions
from sagas.ids import CommitSha, SagaId, TaskId
from sagas.models import Saga, SagaStatus
from sagas.ports import Commit, User
from sagas.service import Desk, SagaService
from sagas.store.database import Connection, Database
from sagas.store.definitions import DefinitionStore
from tests.fake_forge import FakeForge
from tests.fake_repository import blob_id
from tests.fakes import FakeAccess, FakeAnnouncer, FakePublisher
from tests.support import eventually
from tests.world import ENGINEER, World

HISTORIES = Path(__file__).parent
BRANCH = "issue/1-new-tubes"
TABLES = ("saga", "saga_event", "calculation_task", "signal", "draft", "idempotency_record")
_DUMP = "SELECT to_jsonb(row) FROM {table} AS row WHERE row.{key} = $1"
_DEFINITION = "SELECT to_jsonb(row) FROM saga_definition AS row WHERE name = $1 AND version = $2"
_LATER = """
UPDATE saga SET due_at = due_at + $1, look_at = look_at + $1, deadline_at = deadline_at + $1,
                next_attempt_at = next_attempt_at + $1
"""


@dataclass(frozen=True, slots=True)
class History:
    """One of them, as it is stored; `xid` is left out, since it means nothing in another database."""

    recorded_at: str
    ends: str
    """The status that it must reach."""
    rows: dict[str, list[dict[str, Any]]]
    definition: dict[str, Any]
    branches: dict[str, str]
    commits: list[dict[str, Any]]
    """With their whole trees: path to blob."""
    texts: dict[str, str]
    """By blob."""

    @property
    def saga_id(self) -> SagaId:
        """The saga that it is about."""
        return SagaId(UUID(self.rows["saga"][0]["id"]))

    @classmethod
    def load(cls, file: Path) -> "History":
        """From its file; the definition stands beside it, once for all that share it."""
        stored = json.loads(file.read_text(encoding="utf-8"))
        definitions = json.loads((file.parent / "definitions.json").read_text(encoding="utf-8"))
        return cls(**{**stored, "definition": definitions[stored["definition"]]})


@asynccontextmanager
async def stage(database_url: str, catalogue: Catalogue | None = None) -> AsyncIterator[World]:
    """A world of the shipped definitions, or of this catalogue's; nothing is registered yet."""
    database = await Database.open(database_url, size=8)
    try:
        forge, publisher, access, announcer = FakeForge(), FakePublisher(), FakeAccess(), FakeAnnouncer()
        loaded = catalogue or Catalogue.load()
        definitions = DefinitionStore(database)
        project = forge.add_project("plant/unit", sample_files())
        forge.add_issue(project, "New tubes")
        desk = Desk(database, forge, access, definitions, loaded, announcer)
        yield World(
            database, forge, publisher, access, announcer, definitions, loaded, SagaService(desk), desk, project
        )
    finally:
        await database.close()


async def register(world: World) -> None:
    """As at the start of a process."""
    await world.definitions.register(shipped_definitions(world.catalogue).values())


async def record(world: World, saga_id: UUID, *, ends: SagaStatus) -> History:
    """Everything that there is of the saga now."""
    rows = {}
    for table in TABLES:
        statement = _DUMP.format(table=table, key="id" if table == "saga" else "saga_id")
        records = await world.database.read(lambda c, statement=statement: c.fetch(statement, saga_id))  # type: ignore[misc]  # mypy does not infer a lambda with a default
        rows[table] = sorted(({k: v for k, v in r[0].items() if k != "xid"} for r in records), key=json.dumps)
    saga = await world.saga(saga_id)
    definition = await world.database.read(
        lambda c: c.fetchval(_DEFINITION, saga.definition_name, saga.definition_version)
    )
    repository = world.forge._repository(world.project)
    commits: list[dict[str, Any]] = []
    texts: dict[str, str] = {}
    for commit in repository._commits.values():
        tree = repository.tree(commit.sha)
        texts |= {str(blob_id(content)): content.decode() for content in tree.values()}
        commits.append(_plain(commit) | {"tree": {path: blob_id(content) for path, content in tree.items()}})
    return History(datetime.now(UTC).isoformat(), ends, rows, definition, dict(repository.branches), commits, texts)


def _plain(commit: Commit) -> dict[str, Any]:
    names = ("sha", "title", "message", "web_url", "author_name", "author_email", "committer_email")
    return {name: getattr(commit, name) for name in names} | {
        "created_at": commit.created_at.isoformat(),
        "parent_ids": list(commit.parent_ids),
        "trailers": dict(commit.trailers),
    }


async def restore(world: World, history: History) -> None:
    """Put the history into an empty database and GitLab, as if it had been recorded this instant."""
    passed = datetime.now(UTC) - datetime.fromisoformat(history.recorded_at)

    async def insert(connection: Connection) -> None:
        for table, rows in (
            ("saga_definition", [history.definition]),
            *((table, history.rows[table]) for table in TABLES),
        ):
            for row in rows:
                columns = ", ".join(row)
                await connection.execute(
                    f"INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{table}, $1)",
                    row,
                )
        await connection.execute(_LATER, passed)

    await world.database.run(insert)
    repository = world.forge._repository(world.project)
    repository.branches.clear()
    for stored in history.commits:
        tree = {path: history.texts[blob].encode() for path, blob in stored["tree"].items()}
        fields = {name: value for name, value in stored.items() if name != "tree"}
        commit = Commit(
            **fields
            | {
                "created_at": datetime.fromisoformat(stored["created_at"]),
                "parent_ids": tuple(CommitSha(sha) for sha in stored["parent_ids"]),
            }
        )
        repository._commits[commit.sha], repository._trees[commit.sha] = replace(commit), tree
    repository.branches.update({name: CommitSha(sha) for name, sha in history.branches.items()})


async def everybody_does_his_part(world: World, saga_id: SagaId) -> Saga:
    """Fill in what waits for a user, calculate what waits for a worker, resume and retry, until the saga is over."""
    async with world.running():
        for _ in range(20):
            saga = await resting(world, saga_id)
            match saga.status:
                case SagaStatus.COMPLETED | SagaStatus.CANCELLED:
                    return saga
                case SagaStatus.AWAITING_INPUT:
                    await _fill_in(world, saga)
                case SagaStatus.AWAITING_RESULT:
                    await calculate(world, saga)
                case SagaStatus.PAUSED:
                    await world.service.resume(ENGINEER, saga_id)
                case SagaStatus.FAILED:
                    await world.service.retry(ENGINEER, saga_id)
                case _:
                    raise AssertionError(f"{saga.status} is no rest")
            await _moved(world, saga)
    raise AssertionError("the saga does not end")


async def resting(world: World, saga_id: UUID) -> Saga:
    """The saga once it waits for somebody, or is over."""

    async def rests() -> Saga:
        saga = await world.saga(saga_id)
        assert saga.status not in {SagaStatus.RUNNING, SagaStatus.CANCELLING}, f"{saga.state}: {saga.error}"
        return saga

    return await eventually(rests, timeout=20)


async def _moved(world: World, saga: Saga) -> None:
    async def has() -> bool:
        return (await world.saga(saga.id)).version > saga.version

    await eventually(has, timeout=20)


async def _fill_in(world: World, saga: Saga) -> None:
    statement = "SELECT document FROM draft WHERE saga_id = $1 AND state = $2 AND visit = $3"
    draft = await world.database.read(lambda c: c.fetchval(statement, saga.id, saga.state, saga.visit))
    name = saga.state.removeprefix("AWAIT_USER_").removesuffix("_INPUT").lower()
    values = user_inputs(name, draft)
    await world.service.advance(ENGINEER, SagaId(saga.id), step=saga.state, values=values)


async def calculate(world: World, saga: Saga) -> None:
    """Be the worker of the saga's outstanding task."""
    name = saga.state.removeprefix("AWAIT_").removesuffix("_RESULT").lower()
    task = TaskId(UUID(saga.context["calculations"][name]["taskId"]))
    worker = User(99, "worker", "Worker", "worker@example.test")
    path, text = f"{name}_output.json", json.dumps({"of": name}, indent=2) + "\n"
    world.forge.write(world.project, saga.branch, path, text, author=worker, trailers={"Correlation-Id": str(task)})
    await world.pushed(saga.branch)

"""NF-ORCH-3 over both GitLabs: whatever others do to what a saga builds upon has a code of its own, and stays as they did it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from sagas.catalogue import Catalogue
from sagas.definitions import shipped_definitions
from sagas.engine import Engine
from sagas.ids import CommitSha, SagaId
from sagas.models import Saga, SagaStatus
from sagas.ports import Project, User
from sagas.service import Desk, SagaService
from sagas.steps.run import Tools
from sagas.store import commands
from sagas.store.database import Database
from sagas.store.definitions import DefinitionStore
from tests.contract.worlds import World
from tests.fakes import FakeAccess, FakeAnnouncer, FakePublisher
from tests.support import eventually
from tests.world import CATALOGUE, FAST

pytestmark = pytest.mark.timeout(240)

BRANCH = "issue/1-test"
INPUT, OUTPUT = "condenser_input.json", "condenser_output.json"
FORM, NEXT_FORM = "AWAIT_USER_CONDENSER_INPUT", "AWAIT_USER_FEEDWATER_HEATERS_INPUT"
USER = User(7, "irina", "Irina Sokolova", "irina@example.test")


@dataclass
class Stage:
    """An engine and the use cases over one of the GitLabs."""

    world: World
    project: Project
    database: Database
    service: SagaService
    publisher: FakePublisher

    async def saga(self, saga_id: UUID) -> Saga:
        found = await self.database.read(lambda connection: commands.saga(connection, saga_id))
        assert found is not None
        return found

    async def pushed(self) -> None:
        await self.service.webhook(delivery_id=str(uuid4()), project_id=self.project.id, branch=BRANCH)

    async def reaches(self, saga_id: UUID, state: str, status: SagaStatus) -> Saga:
        async def there() -> Saga:
            await self.pushed()
            saga = await self.saga(saga_id)
            assert (saga.state, saga.status) == (state, status), f"{saga.status} in {saga.state}: {saga.error}"
            return saga

        return await eventually(there, timeout=40, every=0.2)

    async def second_form(self) -> Saga:
        """A saga whose first calculation is done: its input and its output are watched from now on."""
        saga = (await self.service.start_balance(USER, project_path=self.project.path, branch=BRANCH)).saga
        await self.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
        await self.service.advance(USER, SagaId(saga.id), step=FORM, values={"load": 5})
        await self.reaches(saga.id, "AWAIT_CONDENSER_RESULT", SagaStatus.AWAITING_RESULT)
        message = f"Calculate\n\nCorrelation-Id: {self.publisher.last().id}\n"
        self.world.write(self.project, BRANCH, OUTPUT, '{"of": "condenser"}\n', message=message)
        return await self.reaches(saga.id, NEXT_FORM, SagaStatus.AWAITING_INPUT)

    async def head(self) -> CommitSha | None:
        branch = await self.world.forge.branch(self.project.id, BRANCH)
        return None if branch is None else branch.head

    async def text(self, path: str) -> str:
        file = await self.world.forge.get_file_content(self.project.id, path, ref=BRANCH)
        assert file is not None
        return file.content.decode()


@pytest.fixture
async def stage(world: World, database_url: str) -> AsyncIterator[Stage]:
    files = {"balance_input.json": json.dumps({"condenser": {"load": 3}}, indent=2) + "\n"}
    project = world.add_project(files)
    await world.forge.create_branch(project.id, BRANCH, ref="main")
    async with opened(database_url) as database:
        catalogue, announcer, publisher = Catalogue.from_json(CATALOGUE), FakeAnnouncer(), FakePublisher()
        definitions = DefinitionStore(database)
        await definitions.register(shipped_definitions(catalogue).values())
        desk = Desk(database, world.forge, FakeAccess(), definitions, catalogue, announcer)
        engine = Engine(Tools(world.forge, publisher, database), definitions, announcer, settings=FAST)
        desk.wakers.append(engine)
        working = asyncio.create_task(engine.run())
        yield Stage(world, project, database, SagaService(desk), publisher)
        engine.stop()
        await working


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = await Database.open(url, size=8)
    try:
        yield database
    finally:
        await database.close()


async def test_each_foreign_act_stops_the_saga_with_its_code_and_what_is_mended_goes_on(
    stage: Stage, world: World
) -> None:
    saga = await stage.second_form()
    given, output, head = await stage.text(INPUT), await stage.text(OUTPUT), await stage.head()
    assert head is not None
    project = stage.project

    async def found(code: str, act: Callable[[], object], mend: Callable[[], object], *said: str) -> None:
        await asyncio.to_thread(act)
        theirs = await stage.head()
        failed = await stage.reaches(saga.id, NEXT_FORM, SagaStatus.FAILED)
        assert failed.error is not None
        assert (failed.error["code"], failed.error["retryable"]) == (code, False)
        for words in (*said, "cancel the saga"):
            assert words in failed.error["message"], failed.error["message"]
        assert await stage.head() == theirs, "nothing of others is written over"
        await asyncio.to_thread(mend)
        await stage.service.retry(USER, SagaId(saga.id))
        waits = await stage.reaches(saga.id, NEXT_FORM, SagaStatus.AWAITING_INPUT)
        assert (waits.visit, waits.error) == (1, None)

    def write(path: str, text: str | None) -> Callable[[], object]:
        return lambda: world.write(project, BRANCH, path, text)

    await found("INPUT_CHANGED", write(INPUT, '{"load": 99}\n'), write(INPUT, given), INPUT, "changed", "form")
    await found("INPUT_CHANGED", write(INPUT, None), write(INPUT, given), INPUT, "removed", "form")
    await found("OUTPUT_CHANGED", write(OUTPUT, '{"by": "hand"}\n'), write(OUTPUT, output), OUTPUT, "restore")
    await found("OUTPUT_DELETED", write(OUTPUT, None), write(OUTPUT, output), OUTPUT, "Restore")
    before = (await world.forge.commits(project.id, branch=BRANCH, since=None, path=None))[-1].sha
    await found(
        "BRANCH_REWRITTEN",
        lambda: world.force_push(project, BRANCH, before),
        lambda: world.force_push(project, BRANCH, head),
        BRANCH,
        "Nothing was overwritten",
    )
    await found(
        "BRANCH_DELETED",
        lambda: world.remove_branch(project, BRANCH),
        lambda: world.restore_branch(project, BRANCH, head),
        BRANCH,
        "Restore it",
    )
    closing = await _opened_merge_request(stage, saga)
    await found(
        "MERGE_REQUEST_CLOSED", lambda: world.close_merge_request(project, closing), lambda: None, f"!{closing}"
    )
    merging = await _opened_merge_request(stage, saga)
    await found("MERGE_REQUEST_MERGED", lambda: world.merge(project, merging), lambda: None, f"!{merging}")
    types = await stage.database.read(
        lambda c: c.fetch("SELECT type FROM saga_event WHERE saga_id = $1 AND type = 'RECONCILED'", saga.id)
    )
    assert len(types) == 8


async def _opened_merge_request(stage: Stage, saga: Saga) -> int:
    """A merge request of the branch, open, and seen so by the saga."""
    opened = await stage.world.forge.create_merge_request(
        stage.project.id, source_branch=BRANCH, target_branch="main", title="Tubes", description=""
    )

    async def seen() -> bool:
        await stage.pushed()
        return opened.iid in (await stage.saga(saga.id)).context.get("mergeRequests", [])

    await eventually(seen, timeout=40, every=0.2)
    return opened.iid

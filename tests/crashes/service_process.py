"""A process of the service: an engine and the use cases over real PostgreSQL and a real GitLab's REST API.

    python -m tests.crashes.service_process <plan as JSON>

Plays its scenario like a client that repeats whatever got no answer, under the same idempotency keys, and ends with 0.
"""

import asyncio
import json
import sys
from contextlib import suppress
from datetime import timedelta
from uuid import UUID, uuid4

from gitlab_facade import GitLabFacade
from sagas.catalogue import Catalogue
from sagas.definitions import shipped_definitions
from sagas.engine import Engine, EngineSettings
from sagas.ids import ProjectId, SagaId
from sagas.models import Saga, SagaStatus
from sagas.ports import File, User
from sagas.retention import Retention, bring_back, sweep
from sagas.service import Desk, SagaService
from sagas.steps.run import Tools
from sagas.store import commands
from sagas.store.database import Database
from sagas.store.definitions import DefinitionStore
from tests.crashes.plan import FilePublisher, Plan, Scenario
from tests.fakes import FakeAccess, FakeAnnouncer
from tests.support_emulator import Emulator
from tests.world import CATALOGUE

ENGINEER = User(7, "irina", "Irina Sokolova", "irina@example.test")
PACE = EngineSettings(
    lease=timedelta(seconds=1),
    renew_every=timedelta(seconds=0.25),
    poll_every=timedelta(seconds=0.1),
    grace=timedelta(seconds=5),
    # What the player has brought back from the archive stays.
    retention=Retention(timedelta(days=36_500)),
)
LONG_ENDED = SagaId(UUID(int=7))
_LONG_ENDED = """
WITH ended AS (
    INSERT INTO saga (id, definition_name, definition_version, state, visit, status, version, project_id, project_path,
                      branch, natural_key, started_by_id, created_at, finished_at)
    SELECT $1, name, version, 'COMPLETED', 1, 'COMPLETED', 1, 1, 'an/old', 'b', 'k', 1, '2001-01-01', '2001-01-01'
    FROM saga_definition WHERE name = 'merge_request' AND NOT EXISTS (SELECT FROM archived_saga WHERE id = $1)
    ON CONFLICT DO NOTHING
    RETURNING id
)
INSERT INTO saga_event (saga_id, version, type, to_state, status, actor)
SELECT id, 1, 'COMPLETED', 'COMPLETED', 'COMPLETED', 'engine' FROM ended
"""
FIRST_FORM = "AWAIT_USER_CONDENSER_INPUT"
COLLEAGUES_INPUT = {"load": 50}


class Forge(GitLabFacade):
    """The facade; the engine `stop_once` is stopped when a CHECK first looks for an input."""

    stop_once: Engine | None = None
    stopped = False

    async def get_file_content(self, project: ProjectId, path: str, *, ref: str) -> File | None:
        if self.stop_once is not None and not self.stopped and path == "condenser_input.json":
            self.stopped = True
            self.stop_once.stop()
        return await super().get_file_content(project, path, ref=ref)


class Player:
    """The client, a colleague who edits a file, and GitLab's webhooks."""

    def __init__(self, plan: Plan, service: SagaService, database: Database) -> None:
        self._plan = plan
        self._service = service
        self._database = database

    async def play(self) -> None:
        await self._read_what_is_archived()
        answer = await self._service.start_balance(
            ENGINEER, project_path=self._plan.project_path, issue_iid=self._plan.issue_iid, idempotency_key="start"
        )
        saga = answer.saga
        while saga.status not in {SagaStatus.COMPLETED, SagaStatus.CANCELLED}:
            if saga.status is SagaStatus.FAILED:
                await self._give_up(saga)
            elif saga.status is SagaStatus.AWAITING_INPUT:
                await self._fill_in(saga)
            elif saga.status is SagaStatus.AWAITING_RESULT:
                await self._while_calculating(saga)
            await asyncio.sleep(0.05)
            saga = await self._now(saga)
        if saga.status is SagaStatus.COMPLETED:
            await self._service.create_merge_request(
                ENGINEER,
                project_path=self._plan.project_path,
                source_branch=saga.branch,
                issue_iid=self._plan.issue_iid,
                idempotency_key="merge",
            )

    async def _read_what_is_archived(self) -> None:
        """A saga that ended long ago goes to the archive, and is read."""
        await self._database.run(lambda connection: connection.execute(_LONG_ENDED, LONG_ENDED))
        await sweep(self._database, Retention(timedelta(days=3000)))
        assert await bring_back(self._database, [LONG_ENDED]) == 1
        journal = "SELECT count(*) FROM saga_event WHERE saga_id = $1"
        assert await self._database.read(lambda connection: connection.fetchval(journal, LONG_ENDED)) == 1

    async def _now(self, saga: Saga) -> Saga:
        now = await self._database.read(lambda connection: commands.saga(connection, saga.id))
        assert now is not None
        return now

    async def _fill_in(self, saga: Saga) -> None:
        if self._plan.scenario is Scenario.WHOLE and saga.state == FIRST_FORM and not await self._edited(saga):
            return
        await self._service.advance(
            ENGINEER,
            SagaId(saga.id),
            step=saga.state,
            values={"load": 5},
            idempotency_key=f"{saga.state}/{saga.visit}",
        )

    async def _edited(self, saga: Saga) -> bool:
        """Whether the form shows what the colleague wrote; he writes it where he has not yet."""
        await asyncio.to_thread(self._edit, saga.branch)
        await self._pushed(saga)
        draft = "SELECT document FROM draft WHERE saga_id = $1 AND state = $2 AND visit = $3"
        shown = await self._database.read(lambda c: c.fetchval(draft, saga.id, saga.state, saga.visit))
        return bool(shown == COLLEAGUES_INPUT)

    def _edit(self, branch: str) -> None:
        plan = self._plan
        gitlab = Emulator(plan.gitlab_url, plan.colleague_token, 0, plan.folder)
        path, text = "condenser_input.json", json.dumps(COLLEAGUES_INPUT)
        if gitlab.read_file(plan.project_id, path, branch) != text:
            gitlab.commit(plan.project_id, branch, {path: text})

    async def _while_calculating(self, saga: Saga) -> None:
        if self._plan.scenario is Scenario.CANCELLED:
            seen = bool(saga.context.get("mergeRequests"))
            await asyncio.to_thread(self._open_or_close, saga.branch, seen)
        await self._pushed(saga)

    def _open_or_close(self, branch: str, seen: bool) -> None:
        """Have the merge request opened once, and closed once the saga has seen it."""
        plan = self._plan
        gitlab = Emulator(plan.gitlab_url, plan.colleague_token, 0, plan.folder)
        address = f"/projects/{plan.project_id}/merge_requests"
        known = gitlab.api("GET", f"{address}?source_branch={branch}&state=all")
        if not known:
            gitlab.api("POST", address, {"source_branch": branch, "target_branch": "main", "title": "Too early"})
        elif seen and known[0]["state"] == "opened":
            gitlab.api("PUT", f"{address}/{known[0]['iid']}", {"state_event": "close"})

    async def _give_up(self, saga: Saga) -> None:
        assert self._plan.scenario is Scenario.CANCELLED, saga.error
        assert saga.error is not None
        assert saga.error["code"] == "MERGE_REQUEST_CLOSED", saga.error
        await self._service.cancel(ENGINEER, SagaId(saga.id), reason="wrong plant", idempotency_key="cancel")

    async def _pushed(self, saga: Saga) -> None:
        await self._service.webhook(delivery_id=str(uuid4()), project_id=ProjectId(saga.project_id), branch=saga.branch)
        await asyncio.sleep(0.1)


async def main(plan: Plan) -> None:
    database = await Database.open(plan.database_url, size=8)
    forge = Forge(plan.gitlab_url, plan.gitlab_token)
    try:
        catalogue = Catalogue.from_json(CATALOGUE)
        definitions = DefinitionStore(database)
        await definitions.register(shipped_definitions(catalogue).values())
        announcer = FakeAnnouncer()
        desk = Desk(database, forge, FakeAccess(), definitions, catalogue, announcer)
        player = asyncio.create_task(Player(plan, SagaService(desk), database).play())
        tools = Tools(forge, FilePublisher(plan.folder), database)
        while not player.done():
            engine = Engine(tools, definitions, announcer, settings=PACE)
            desk.wakers[:] = [engine]
            if plan.scenario is Scenario.WHOLE:
                forge.stop_once = engine
            await _run(engine, until=player)
        await player
    finally:
        await forge.aclose()
        await database.close()


async def _run(engine: Engine, *, until: "asyncio.Task[None]") -> None:
    """Run the engine until it stops by itself, or the other task ends."""
    running = asyncio.create_task(engine.run())
    await asyncio.wait({running, until}, return_when=asyncio.FIRST_COMPLETED)
    engine.stop()
    await running


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(Plan.from_json(sys.argv[1])))

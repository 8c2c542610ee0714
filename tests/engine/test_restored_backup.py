"""NF-ORCH-1: a database restored from a backup is a crash like any other: nothing is committed or published twice."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest

from app.adapters.postgres_programs import wheel_programs
from sagas.definitions import shipped_definitions
from sagas.engine import Engine
from sagas.ids import SagaId
from sagas.models import Saga, SagaStatus
from sagas.service import Desk, SagaService
from sagas.steps.run import Tools
from sagas.store import commands
from sagas.store.database import Database
from sagas.store.definitions import DefinitionStore
from tests.support import eventually
from tests.support_postgres import TestServer
from tests.world import COLLEAGUE, ENGINEER, FAST, World

BRANCH = "issue/1-test"
FORM = "AWAIT_USER_FEEDWATER_HEATERS_INPUT"


def run(program: str, *arguments: str) -> None:
    subprocess.run([str(wheel_programs() / program), *arguments], check=True, capture_output=True, timeout=60)


async def in_state(database: Database, saga_id: UUID, state: str) -> bool:
    return (await row(database, saga_id)).state == state


async def row(database: Database, saga_id: UUID) -> Saga:
    found = await database.read(lambda connection: commands.saga(connection, saga_id))
    assert found is not None
    return found


@asynccontextmanager
async def restored(world: World, postgres: TestServer, backup: str) -> AsyncIterator[tuple[Database, SagaService]]:
    """An engine and the use cases over the database as it was, before the GitLab that has gone on."""
    with postgres.database(migrated=False) as url:
        run("pg_restore", "--no-owner", f"--dbname={url}", backup)
        database = await Database.open(url)
        try:
            definitions = DefinitionStore(database)
            await definitions.register(shipped_definitions(world.catalogue).values())
            tools = Tools(world.forge, world.publisher, database)
            engine = Engine(tools, definitions, world.announcer, settings=FAST)
            desk = Desk(database, world.forge, world.access, definitions, world.catalogue, world.announcer, [engine])
            working = asyncio.create_task(engine.run())
            try:
                yield database, SagaService(desk)
            finally:
                engine.stop()
                await working
        finally:
            await database.close()


async def test_a_restored_saga_finds_what_it_did_after_the_backup(
    world: World, postgres: TestServer, database_url: str, tmp_path: Path
) -> None:
    backup = str(tmp_path / "backup")
    saga = await world.start()
    async with world.running():
        await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    await world.give(saga.id, "condenser")
    run("pg_dump", "--format=custom", f"--file={backup}", database_url)
    async with world.running():
        task = await world.work(saga.id, "condenser")
        await world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
    log = world.forge.commit_log(world.project, BRANCH)
    async with restored(world, postgres, backup) as (database, _):
        await eventually(lambda: in_state(database, saga.id, FORM), timeout=30)
    assert world.forge.commit_log(world.project, BRANCH) == log
    assert {message.id for message in world.publisher.published} == {task}


@pytest.mark.parametrize("since_the_start", [True, False], ids=["before-the-first-commit", "between-commits"])
async def test_a_cancel_after_a_restore_undoes_what_gitlab_has_and_the_backup_had_not(
    world: World, postgres: TestServer, database_url: str, tmp_path: Path, *, since_the_start: bool
) -> None:
    """Also what a colleague has signed with the saga's own trailers stays his."""
    backup = str(tmp_path / "backup")
    saga = await world.start()
    if since_the_start:
        run("pg_dump", "--format=custom", f"--file={backup}", database_url)
    async with world.running():
        await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    if not since_the_start:
        run("pg_dump", "--format=custom", f"--file={backup}", database_url)
    await world.give(saga.id, "condenser")
    async with world.running():
        await world.work(saga.id, "condenser")
        await world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
    forged = {"Saga-Id": str(saga.id), "Saga-Step": "HYDRATE_BALANCE/1"}
    world.forge.write(world.project, BRANCH, "notes.md", "his", author=COLLEAGUE, trailers=forged)
    output = world.forge.read(world.project, BRANCH, "condenser_output.json")
    async with restored(world, postgres, backup) as (database, service):
        await service.cancel(ENGINEER, SagaId(saga.id), compensate=True, reason="the restored one is not wanted")

        async def cancelled() -> bool:
            return (await row(database, saga.id)).status is SagaStatus.CANCELLED

        await eventually(cancelled, timeout=30)
    for path in ("condenser_input.json", "feedwater_heaters_input.json"):
        assert world.forge.read(world.project, BRANCH, path) is None, path
    assert world.forge.read(world.project, BRANCH, "condenser_output.json") == output, "the worker's stays"
    assert world.forge.read(world.project, BRANCH, "notes.md") == "his"
    effects = [commit.trailers.get("Saga-Step", "") for commit in world.forge.commit_log(world.project, BRANCH)]
    undone = [effect for effect in effects if effect.startswith("undo:")]
    assert undone == [
        "undo:HYDRATE_CONDENSER/1",
        "undo:COMMIT_CONDENSER_INPUT/1",
        "undo:HYDRATE_FEEDWATER_HEATERS/1",
    ]


async def test_a_cancel_after_a_restore_finds_its_commits_also_where_the_engine_has_gone_on(
    world: World, postgres: TestServer, database_url: str, tmp_path: Path
) -> None:
    """The check is made again and takes the hydrated file for a found one: it is the saga's own all the same."""
    backup = str(tmp_path / "backup")
    saga = await world.start()
    run("pg_dump", "--format=custom", f"--file={backup}", database_url)
    async with world.running():
        await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    async with restored(world, postgres, backup) as (database, service):
        await eventually(lambda: in_state(database, saga.id, "AWAIT_USER_CONDENSER_INPUT"), timeout=30)
        await service.cancel(ENGINEER, SagaId(saga.id), compensate=True, reason="not wanted")

        async def cancelled() -> bool:
            return (await row(database, saga.id)).status is SagaStatus.CANCELLED

        await eventually(cancelled, timeout=30)
    assert world.forge.read(world.project, BRANCH, "condenser_input.json") is None

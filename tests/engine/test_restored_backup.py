"""NF-ORCH-1: a database restored from a backup is a crash like any other: nothing is committed or published twice."""

import asyncio
import subprocess
from pathlib import Path
from uuid import UUID

from app.adapters.postgres_programs import wheel_programs
from sagas.catalogue import Catalogue
from sagas.definitions import shipped_definitions
from sagas.engine import Engine
from sagas.models import Saga, SagaStatus
from sagas.steps.run import Tools
from sagas.store import commands
from sagas.store.database import Database
from sagas.store.definitions import DefinitionStore
from tests.support import eventually
from tests.support_postgres import TestServer
from tests.world import CATALOGUE, FAST, World

BRANCH = "issue/1-test"
FORM = "AWAIT_USER_FEEDWATER_HEATERS_INPUT"


def run(program: str, *arguments: str) -> None:
    subprocess.run([str(wheel_programs() / program), *arguments], check=True, capture_output=True, timeout=60)


async def row(database: Database, saga_id: UUID) -> Saga:
    found = await database.read(lambda connection: commands.saga(connection, saga_id))
    assert found is not None
    return found


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
    with postgres.database(migrated=False) as restored_url:
        run("pg_restore", "--no-owner", f"--dbname={restored_url}", backup)
        restored = await Database.open(restored_url)
        try:
            assert (await row(restored, saga.id)).state == "COMMIT_CONDENSER_INPUT"
            definitions = DefinitionStore(restored)
            await definitions.register(shipped_definitions(Catalogue.from_json(CATALOGUE)).values())
            tools = Tools(world.forge, world.publisher, restored)
            engine = Engine(tools, definitions, world.announcer, settings=FAST)
            working = asyncio.create_task(engine.run())

            async def at_the_form() -> bool:
                return (await row(restored, saga.id)).state == FORM

            try:
                await eventually(at_the_form, timeout=30)
            finally:
                engine.stop()
                await working
        finally:
            await restored.close()
    assert world.forge.commit_log(world.project, BRANCH) == log
    assert {message.id for message in world.publisher.published} == {task}

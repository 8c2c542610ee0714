"""FR-ORCH-2: the migrations make exactly the tables that the models declare, and can be undone and printed."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.util import CommandError
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncEngine

from app.migrate import MIGRATIONS, current_revision, downgrade, is_behind, migrate, newest_revision
from sagas.models import metadata
from sagas.store.database import plain_url, sqlalchemy_engine

# Everything that PostgreSQL knows of our tables, in its own words: types, defaults, keys, predicates, storage.
_SCHEMA = """
SELECT 'column' AS kind, c.relname || '.' || a.attname AS name,
       format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL ' ELSE ' ' END
       || coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS definition
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (c.oid, a.attnum)
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL
SELECT 'index', tablename || '.' || indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'storage', relname, reloptions::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL
ORDER BY kind, name
"""


async def schema(url: str) -> dict[tuple[str, str], str]:
    connection = await asyncpg.connect(plain_url(url))
    try:
        records = await connection.fetch(_SCHEMA)
    finally:
        await connection.close()
    return {
        (record["kind"], record["name"]): record["definition"]
        for record in records
        if "alembic_version" not in record["name"]
    }


async def create_all(url: str) -> None:
    engine = engine_of(url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()


def engine_of(url: str) -> AsyncEngine:
    return sqlalchemy_engine(url, poolclass=NullPool)


def alembic(*arguments: str, url: str | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The `alembic` command, as a person runs it in the repository."""
    environment = {key: value for key, value in os.environ.items() if key != "ORCHESTRATOR_DATABASE_URL"}
    if url is not None:
        environment["ORCHESTRATOR_DATABASE_URL"] = url
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=cwd or MIGRATIONS.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_migrations_and_models_make_the_same_schema_to_the_last_predicate(
    any_database_url: str, any_postgres: Any
) -> None:
    migrated = await schema(any_database_url)
    with any_postgres.database(migrated=False) as url:
        await create_all(url)
        declared = await schema(url)
    assert migrated == declared
    assert migrated["column", "saga_event.xid"] == "xid8 NOT NULL pg_current_xact_id()"
    options = "fillfactor=70,autovacuum_vacuum_scale_factor=0.01,autovacuum_vacuum_threshold=1000"
    assert migrated["storage", "saga"] == f"{{{options}}}"
    assert migrated["index", "saga.ix_saga_due"].endswith("(due_at) WHERE (due_at IS NOT NULL)")


async def test_autogenerate_finds_nothing(any_database_url: str) -> None:
    checked = await asyncio.to_thread(alembic, "check", url=any_database_url)
    assert checked.returncode == 0, checked.stderr
    assert "No new upgrade operations detected" in checked.stdout


async def test_autogenerate_would_find_a_difference(database_url: str) -> None:
    connection = await asyncpg.connect(plain_url(database_url))
    await connection.execute("ALTER TABLE saga DROP COLUMN wanted_by; CREATE TABLE celery_taskmeta (id int)")
    await connection.close()
    checked = await asyncio.to_thread(alembic, "check", url=database_url)
    assert checked.returncode != 0
    assert "wanted_by" in checked.stdout + checked.stderr
    assert "celery_taskmeta" not in checked.stdout + checked.stderr


async def test_up_down_and_up_again_ends_where_it_began(any_empty_database_url: str) -> None:
    url = any_empty_database_url
    engine = engine_of(url)
    assert await current_revision(engine) is None
    assert is_behind(await current_revision(engine))
    await migrate(url)
    first = await schema(url)
    assert not is_behind(await current_revision(engine))
    await downgrade(url, "base")
    assert await schema(url) == {}
    assert is_behind(await current_revision(engine))
    await migrate(url)
    assert await schema(url) == first
    assert await current_revision(engine) == newest_revision()
    await engine.dispose()


async def test_migrating_what_is_migrated_changes_nothing(database_url: str) -> None:
    before = await schema(database_url)
    await migrate(database_url)
    assert await schema(database_url) == before


async def test_an_unknown_revision_is_refused_and_changes_nothing(empty_database_url: str) -> None:
    with pytest.raises(CommandError, match="unheard_of"):
        await migrate(empty_database_url, "unheard_of")
    assert await schema(empty_database_url) == {}


async def test_calls_of_one_process_wait_for_each_other(empty_database_url: str) -> None:
    await asyncio.wait_for(asyncio.gather(*(migrate(empty_database_url) for _ in range(3))), timeout=30)
    engine = engine_of(empty_database_url)
    assert not is_behind(await current_revision(engine))
    await engine.dispose()


async def test_processes_that_start_together_migrate_once(empty_database_url: str) -> None:
    code = "import asyncio, sys; from app.migrate import migrate; asyncio.run(migrate(sys.argv[1]))"
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, empty_database_url, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    for process in processes:
        _, errors = await asyncio.wait_for(process.communicate(), timeout=60)
        assert process.returncode == 0, errors.decode()
    engine = engine_of(empty_database_url)
    assert not is_behind(await current_revision(engine))
    await engine.dispose()


async def test_offline_sql_makes_the_same_schema(any_empty_database_url: str, any_postgres: Any) -> None:
    printed = await asyncio.to_thread(alembic, "upgrade", "head", "--sql")
    assert printed.returncode == 0, printed.stderr
    connection = await asyncpg.connect(plain_url(any_empty_database_url))
    await connection.execute(printed.stdout)
    await connection.close()
    with any_postgres.database() as url:
        assert await schema(any_empty_database_url) == await schema(url)


def test_every_revision_gives_up_on_a_lock_before_it_stops_the_service() -> None:
    scripts = [*MIGRATIONS.glob("versions/*.py"), MIGRATIONS / "script.py.mako"]
    assert len(scripts) > 1
    for script in scripts:
        assert script.read_text(encoding="utf-8").count("op.execute(\"SET LOCAL lock_timeout = '5s'\")") == 2, script


def test_the_command_without_an_address_says_what_it_needs() -> None:
    told = alembic("upgrade", "head")
    assert told.returncode != 0
    assert "set ORCHESTRATOR_DATABASE_URL" in told.stderr

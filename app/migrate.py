"""The database's schema: bring it up to date, and tell whether it is. From a checkout and an installed wheel alike."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool
from sqlalchemy.ext.asyncio import AsyncEngine

import app
from sagas.store.database import once_more, sqlalchemy_engine

MIGRATIONS = Path(app.__file__).resolve().parent.parent / "migrations"
"""Beside the packages: so in the repository, and so the wheel installs it."""


# Alembic's `op` and `context` are globals of the process: two runs at once would answer each other.
_ONE_AT_A_TIME = threading.Lock()


async def migrate(database_url: str, revision: str = "head") -> None:
    """Upgrade the database to a revision, in one transaction; processes that do it at once wait for each other.

    Raises what the driver raises where the database cannot be reached, or `alembic.util.CommandError` for a revision
    that this release does not have.
    """
    await _run(database_url, lambda config: command.upgrade(config, revision))


async def downgrade(database_url: str, revision: str) -> None:
    """Take the database back to an earlier revision ("base": before the first), in one transaction."""
    await _run(database_url, lambda config: command.downgrade(config, revision))


def newest_revision() -> str:
    """The revision that this release works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "a release has migrations"
    return head


async def current_revision(engine: AsyncEngine) -> str | None:
    """The revision that the database stands at; None: never migrated."""

    async def read() -> str | None:
        async with engine.connect() as connection:
            return await connection.run_sync(_revision)

    return await once_more(read)


def is_behind(found: str | None) -> bool:
    """Whether a database at this revision lacks what this release needs.

    One at a revision that this release does not know was migrated for a newer one: both work with it during an upgrade.
    """
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    return found is None or (found in known and found != newest_revision())


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


async def _run(database_url: str, act: Callable[[Config], None]) -> None:
    def alone() -> None:
        with _ONE_AT_A_TIME:
            asyncio.run(_act_on(database_url, act))

    await asyncio.to_thread(alone)


async def _act_on(database_url: str, act: Callable[[Config], None]) -> None:
    config = _config()

    def on(connection: Connection) -> None:
        config.attributes["connection"] = connection
        act(config)

    engine = sqlalchemy_engine(database_url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(on)
    finally:
        await engine.dispose()

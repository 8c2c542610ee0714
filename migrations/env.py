"""How Alembic reaches the database and what it compares: run by `orchestrator migrate` and by the `alembic` command.

The address comes from the caller's connection, `-x url=…`, or `ORCHESTRATOR_DATABASE_URL`, in this order.
"""

import asyncio
import os
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.dialects.postgresql.base import ischema_names

from sagas.models import EnumText, Xid8, metadata
from sagas.store.database import sqlalchemy_engine

# Held to the end of the transaction: processes that start together migrate one after the other.
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('balance-orchestrator migrations', 0))")

# SQLAlchemy's reflection does not know the type.
ischema_names["xid8"] = Xid8


def include_name(name: str | None, type_: str, _parents: object) -> bool:
    """Leave the tables of Celery's result backend alone: it makes them itself, in the same database."""
    return not (type_ == "table" and name is not None and name.startswith("celery_"))


def render_item(type_: str, item: Any, _autogen: AutogenContext) -> str | Literal[False]:
    """Write types as they are in the database, so that an old revision does not depend on today's models."""
    return "sa.Text()" if type_ == "type" and isinstance(item, EnumText) else False


def database_url() -> str:
    """The address, for the `alembic` command."""
    url = context.get_x_argument(as_dictionary=True).get("url") or os.environ.get("ORCHESTRATOR_DATABASE_URL")
    if not url:
        raise SystemExit("No database: set ORCHESTRATOR_DATABASE_URL or give -x url=postgresql://…")
    return url


def run_offline() -> None:
    """Print the SQL, for a database that somebody else looks after."""
    context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_on(connection: Connection) -> None:
    """Migrate over a connection that is not in a transaction; all revisions are one transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
        include_name=include_name,
        render_item=render_item,
    )
    with context.begin_transaction():
        connection.execute(LOCK)
        context.run_migrations()


async def run_online() -> None:
    """Connect and migrate."""
    engine = sqlalchemy_engine(database_url(), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run_on)
    finally:
        await engine.dispose()


if context.is_offline_mode():
    run_offline()
elif (given := context.config.attributes.get("connection")) is not None:
    run_on(given)
else:
    asyncio.run(run_online())

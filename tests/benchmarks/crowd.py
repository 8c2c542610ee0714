"""Tables as they are after a long time: rows copied within the server from one that the service made itself."""

import asyncpg
from sqlalchemy import make_url

from sagas.change import COLUMNS
from sagas.store.database import plain_url

_OWN = {
    "id": "gen_random_uuid()",
    "branch": "template.branch || '-' || n",
    "natural_key": "template.natural_key || '-' || n",
    # The watcher's looks come over the next hours instead of all at once: they are not what is measured.
    "look_at": "template.look_at + interval '1 hour' + n * interval '10 ms'",
    "created_at": "template.created_at - n * interval '1 second'",
    "finished_at": "template.finished_at - n * interval '1 second'",
}
_COPY = f"""
WITH template AS MATERIALIZED (SELECT * FROM saga WHERE status = $2 LIMIT 1),
sagas AS (
    INSERT INTO saga ({", ".join(COLUMNS)})
    SELECT {", ".join(_OWN.get(name, f"template.{name}") for name in COLUMNS)}
    FROM template, generate_series($3::int, $3::int + $1::int - 1) AS n
    RETURNING id
), drafts AS (
    INSERT INTO draft (saga_id, state, visit, document, blob_id, changed_at_version)
    SELECT sagas.id, draft.state, draft.visit, draft.document, draft.blob_id, draft.changed_at_version
    FROM sagas, draft JOIN template ON draft.saga_id = template.id
)
INSERT INTO saga_event (saga_id, version, type, from_state, to_state, status, actor, data, occurred_at)
SELECT sagas.id, event.version, type, from_state, to_state, event.status, actor, data, occurred_at
FROM sagas, saga_event AS event JOIN template ON event.saga_id = template.id
WHERE event.version <= $4
"""
_ROWS_AT_ONCE = 20_000


async def copy(url: str, number: int, *, status: str, events: int = 100) -> None:
    """That many copies of a saga of this status, each with up to so many entries of its journal, and analysed."""
    connection = await asyncpg.connect(plain_url(url))
    try:
        # Each row comes with what it refers to: looking that up again for ten million of them takes a third of the time.
        await connection.execute("SET session_replication_role = replica")
        for first in range(1, number + 1, _ROWS_AT_ONCE):
            await connection.execute(_COPY, min(_ROWS_AT_ONCE, number + 1 - first), status, first, events, timeout=600)
        await connection.execute("VACUUM (ANALYZE)", timeout=600)
    finally:
        await connection.close()


async def ask(url: str, question: str, *values: object) -> int:
    """One number from the database, from a session that ends with it."""
    connection = await asyncpg.connect(plain_url(url))
    try:
        return int(await connection.fetchval(question, *values, timeout=600))
    finally:
        await connection.close()


async def sibling(url: str) -> str:
    """The URL of a second, empty database on the same server."""
    connection = await asyncpg.connect(plain_url(url))
    await connection.execute("CREATE DATABASE beside")
    await connection.close()
    return make_url(url).set(database="beside").render_as_string(hide_password=False)

"""The archive: finished sagas out of the way of live ones, each as one row with its journal and drafts as documents.

Documents, because PostgreSQL compresses them and they need one index entry instead of a dozen. Whoever asks for an
archived saga by its id gets it moved back among the others, so that every way of reading works as it does there. There it
stays for a day, since one look takes several statements and a client reads page by page; then a sweep takes it away again.
A saga is in exactly one of both places at any moment: each move is one transaction.

Its tasks stay where they are: by them an output on a branch is known to be current, however old.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlmodel import SQLModel

from sagas.models import Draft, SagaEvent, SagaRow
from sagas.store.database import Connection

# A key must go on naming its saga: while one is kept, the saga stays. The next statement forgets signals with the row.
# One that came back is among the oldest: without its day the next batch would take it from under its reader.
_OLD = """
SELECT id, finished_at FROM saga
WHERE definition_name = $1 AND finished_at < statement_timestamp() - $2::interval AND finished_at >= $3
  AND NOT EXISTS (SELECT FROM idempotency_record AS key WHERE key.saga_id = saga.id)
  AND NOT EXISTS (
      SELECT FROM returned_saga AS returned
      WHERE returned.saga_id = saga.id AND returned_at > statement_timestamp() - interval '1 day'
  )
ORDER BY finished_at
LIMIT $4
"""
LOCK_OLD = f"{_OLD} FOR UPDATE SKIP LOCKED"
# Asked again by a look that began with the rows locked: a key that came between the first look and its locks would go with
# its saga. From here on nobody can bind one to them.
MOVE_AWAY = """
WITH old AS (
    SELECT id FROM saga
    WHERE id = ANY($1::uuid[]) AND NOT EXISTS (SELECT FROM idempotency_record AS key WHERE key.saga_id = saga.id)
), kept AS (
    INSERT INTO archived_saga (id, definition_name, project_id, issue_iid, branch, created_at, saga, events, drafts)
    SELECT
        saga.id, definition_name, project_id, issue_iid, branch, created_at, to_jsonb(saga),
        (SELECT coalesce(jsonb_agg(to_jsonb(event) ORDER BY version), '[]')
         FROM saga_event AS event WHERE event.saga_id = saga.id),
        (SELECT coalesce(jsonb_agg(to_jsonb(draft) ORDER BY state, visit), '[]')
         FROM draft WHERE draft.saga_id = saga.id)
    FROM old JOIN saga ON saga.id = old.id
), gone AS (DELETE FROM saga USING old WHERE saga.id = old.id)
SELECT count(*) FROM old
"""
_COUNT = f"SELECT count(*) FROM ({_OLD.replace('LIMIT $4', '')}) AS old"
_DEFINITIONS = "SELECT DISTINCT name FROM saga_definition ORDER BY name"
# In the order of the ids, like every statement over many sagas, so that no two of them can deadlock.
_HELD = """
SELECT id, ARRAY(SELECT jsonb_object_keys(saga)) AS saga,
       ARRAY(SELECT jsonb_object_keys(events -> 0)) AS saga_event, ARRAY(SELECT jsonb_object_keys(drafts -> 0)) AS draft
FROM archived_saga WHERE id = ANY($1::uuid[])
ORDER BY id
FOR UPDATE
"""
_TABLES: tuple[tuple[type[SQLModel], str, str], ...] = (
    (SagaRow, "saga", "jsonb_populate_record(NULL::saga, archived_saga.saga)"),
    (SagaEvent, "saga_event", "jsonb_populate_recordset(NULL::saga_event, events)"),
    (Draft, "draft", "jsonb_populate_recordset(NULL::draft, drafts)"),
)
_THERE = "SELECT count(*) FROM saga WHERE id = ANY($1::uuid[])"
_STAYS = "INSERT INTO returned_saga (saga_id) VALUES ($1)"
_FORGET = "DELETE FROM archived_saga WHERE id = $1"
_PROJECTS = "SELECT id, project_id FROM archived_saga WHERE id = ANY($1::uuid[])"
_SOME = "SELECT id FROM archived_saga ORDER BY id LIMIT $1"


BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Before any saga."""


class Moved(NamedTuple):
    """What one `move_away` did."""

    looked_at: int
    """Fewer than were asked for: there are no more."""
    sagas: int
    newest: datetime
    """When the last of them finished: where the next goes on."""


async def definitions(connection: Connection) -> Sequence[str]:
    """The names of all definitions that ever were."""
    return [record["name"] for record in await connection.fetch(_DEFINITIONS)]


async def move_away(
    connection: Connection, definition: str, *, older_than: timedelta, since: datetime, limit: int
) -> Moved:
    """Archive up to `limit` sagas of the definition that finished longer ago than that, and not before `since`.

    In a transaction of the caller's.

    Who goes on where the last batch ended need not walk the index over what that left there: entries of its rows, which stay
    as long as anybody holds an older snapshot, and sagas that have to stay.
    Rows that somebody else holds are left for the next time: nobody waits for this, and two at once share the work.
    """
    old = await connection.fetch(LOCK_OLD, definition, older_than, since, limit)
    if not old:
        return Moved(0, 0, since)
    moved = await connection.fetchval(MOVE_AWAY, [saga["id"] for saga in old])
    return Moved(len(old), int(moved), old[-1]["finished_at"])


async def count(connection: Connection, definition: str, *, older_than: timedelta) -> int:
    """How many `move_away` would archive."""
    return int(await connection.fetchval(_COUNT, definition, older_than, BEGINNING))


async def some(connection: Connection, limit: int) -> Sequence[UUID]:
    """The ids of up to `limit` archived sagas."""
    return [record["id"] for record in await connection.fetch(_SOME, limit)]


async def projects(connection: Connection, saga_ids: Iterable[UUID]) -> Mapping[UUID, int]:
    """The project of each of these sagas that is archived."""
    return {record["id"]: record["project_id"] for record in await connection.fetch(_PROJECTS, list(saga_ids))}


async def bring_back(connection: Connection, saga_ids: Iterable[UUID]) -> int:
    """Move those of these sagas that are archived back among the others; returns how many are there now.

    Also those that somebody else has just brought back, or this very call, where its COMMIT was not answered.
    """
    asked = list(saga_ids)
    held = await connection.fetch(_HELD, asked)
    for record in held:
        for model, table, rows in _TABLES:
            # Columns that it was archived without have their defaults, as in rows that a migration finds.
            known = [column.name for column in model.__table__.columns]  # type: ignore[attr-defined]  # set by SQLModel's metaclass
            columns = [name for name in known if name in record[table]]
            if columns:
                await connection.execute(
                    f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(f'was.{name}' for name in columns)} "
                    f"FROM archived_saga, {rows} AS was WHERE archived_saga.id = $1",
                    record["id"],
                )
        await connection.execute(_STAYS, record["id"])
        await connection.execute(_FORGET, record["id"])
    return int(await connection.fetchval(_THERE, asked))

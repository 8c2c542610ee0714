"""The process-wide walk over the journal, in an order in which no row can appear behind the reader."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sagas.ids import SagaId
from sagas.ports import Hint
from sagas.store.database import Connection

# Ordered by the writing transaction, and only below the oldest one still running: a serial number would be skipped
# for ever where an earlier number commits after a later one was read.
FEED = """
SELECT now.xmin::text AS xmin, event.xid::text AS xid, event.saga_id, event.version
FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xmin) AS now
LEFT JOIN LATERAL (
    SELECT xid, saga_id, version FROM saga_event
    WHERE (xid, saga_id, version) > ($1::text::xid8, $2::uuid, $3::int) AND xid < now.xmin
    ORDER BY xid, saga_id, version
    LIMIT $4
) AS event ON true
"""
_NOW = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"
_NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Position:
    """How far the journal has been walked."""

    xid: int
    saga_id: UUID = _NOBODY
    version: int = 0


@dataclass(frozen=True, slots=True)
class Walk:
    """What one step of the walk found; `reset`: the database is an older one than before, anything may have changed."""

    position: Position
    hints: Sequence[Hint]
    reset: bool = False


async def present(connection: Connection) -> Position:
    """The position before everything that commits from now on."""
    return Position(int(await connection.fetchval(_NOW)))


async def walk(connection: Connection, position: Position, *, limit: int) -> Walk:
    """The entries behind the position, at most `limit`; its cost follows the changes, not the subscribers."""
    records = await connection.fetch(FEED, str(position.xid), position.saga_id, position.version, limit)
    oldest = int(records[0]["xmin"])
    if oldest < position.xid:
        return Walk(Position(oldest), (), reset=True)
    found = [record for record in records if record["xid"] is not None]
    if not found:
        return Walk(position, ())
    last = found[-1]
    return Walk(
        Position(int(last["xid"]), last["saga_id"], last["version"]),
        [Hint(SagaId(record["saga_id"]), record["version"]) for record in found],
    )

"""Idempotency keys: what a client's key started, and who may be told so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sagas.store.database import Connection

_FIND = (
    "SELECT input_hash, saga_id, request_id FROM idempotency_record WHERE user_id = $1 AND mutation = $2 AND key = $3"
)
_FIND_ALL = """
SELECT clock_timestamp() AS db_now, key.input_hash, key.saga_id, key.request_id
FROM unnest($1::bigint[], $2::text[], $3::text[]) WITH ORDINALITY AS asked (user_id, mutation, key, place)
LEFT JOIN idempotency_record AS key
    ON (key.user_id, key.mutation, key.key) = (asked.user_id, asked.mutation, asked.key)
ORDER BY asked.place
"""
_KEEP = """
INSERT INTO idempotency_record (user_id, mutation, key, input_hash, saga_id, request_id)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::uuid[])
ON CONFLICT DO NOTHING
RETURNING request_id
"""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as idempotency sees it: who, which mutation, which key (None: natural key only), which input."""

    user_id: int
    mutation: str
    key: str | None
    input_hash: str
    id: UUID
    """This very request: after a lost COMMIT it tells its own success from an earlier request's."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a key stands for already."""

    saga_id: UUID
    input_hash: str
    request_id: UUID


async def find(connection: Connection, request: Request) -> Known | None:
    """What the request's key stands for; None for a new key, and for a request without one."""
    if request.key is None:
        return None
    record = await connection.fetchrow(_FIND, request.user_id, request.mutation, request.key)
    return None if record is None else Known(record["saga_id"], record["input_hash"], record["request_id"])


async def find_all(connection: Connection, requests: Sequence[Request]) -> tuple[datetime, list[Known | None]]:
    """The database's time, and what each request's key stands for."""
    columns = zip(*((asked.user_id, asked.mutation, asked.key) for asked in requests), strict=True)
    records = await connection.fetch(_FIND_ALL, *columns)
    known = [
        None if record["saga_id"] is None else Known(record["saga_id"], record["input_hash"], record["request_id"])
        for record in records
    ]
    return records[0]["db_now"], known


async def keep(connection: Connection, used: Iterable[tuple[Request, UUID]]) -> bool:
    """Bind each request's key to its saga; False where another request at the same moment was first with one of them."""
    rows = [(r.user_id, r.mutation, r.key, r.input_hash, saga_id, r.id) for r, saga_id in used if r.key is not None]
    if not rows:
        return True
    # In the order of the keys, so that no two transactions wait for each other's.
    columns = zip(*sorted(rows, key=lambda row: row[:3]), strict=True)
    return len(await connection.fetch(_KEEP, *columns)) == len(rows)

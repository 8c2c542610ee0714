"""Idempotency keys: what a client's key started, and who may be told so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from sagas.models import IdempotencyRecord
from sagas.store.database import Connection
from sagas.store.statement import Part, insert

_FIND = """
SELECT clock_timestamp() AS db_now, key.input_hash, key.saga_id, key.request_id
FROM unnest($1::bigint[], $2::text[], $3::text[]) WITH ORDINALITY AS asked (user_id, mutation, key, place)
LEFT JOIN idempotency_record AS key
    ON (key.user_id, key.mutation, key.key) = (asked.user_id, asked.mutation, asked.key)
ORDER BY asked.place
"""
KEPT = ("user_id", "mutation", "key", "input_hash", "saga_id", "request_id")
KEEP = Part(
    "kept",
    IdempotencyRecord,
    KEPT,
    f"{insert('idempotency_record', KEPT)} ON CONFLICT DO NOTHING RETURNING request_id",
)
"""Binds each request's key to its saga; one that another request was first with is left out."""
HOW_MANY_KEPT = "SELECT count(*) AS kept FROM kept"


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


async def find(connection: Connection, requests: Sequence[Request]) -> tuple[datetime, list[Known | None]]:
    """The database's time, and what each request's key stands for."""
    columns = zip(*((asked.user_id, asked.mutation, asked.key) for asked in requests), strict=True)
    records = await connection.fetch(_FIND, *columns)
    known = [
        None if record["saga_id"] is None else Known(record["saga_id"], record["input_hash"], record["request_id"])
        for record in records
    ]
    return records[0]["db_now"], known


UsedKey: TypeAlias = tuple[Request, UUID]
"""A request, and the saga that its key is to stand for."""


def key_rows(used: Iterable[UsedKey]) -> list[tuple[Any, ...]]:
    """The rows of `KEEP`: of requests that have a key, in its order, so that no two transactions wait for each other."""
    rows = [(r.user_id, r.mutation, r.key, r.input_hash, saga_id, r.id) for r, saga_id in used if r.key is not None]
    return sorted(rows, key=lambda row: row[:3])

"""Idempotency keys: what a client's key started, and who may be told so."""

from dataclasses import dataclass
from uuid import UUID

from sagas.store.database import Connection

_FIND = (
    "SELECT input_hash, saga_id, request_id FROM idempotency_record WHERE user_id = $1 AND mutation = $2 AND key = $3"
)
_KEEP = """
INSERT INTO idempotency_record (user_id, mutation, key, input_hash, saga_id, request_id)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
RETURNING saga_id
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


async def keep(connection: Connection, request: Request, saga_id: UUID) -> bool:
    """Bind the key to the saga; False where a request at the same moment was first."""
    if request.key is None:
        return True
    kept = await connection.fetchval(
        _KEEP, request.user_id, request.mutation, request.key, request.input_hash, saga_id, request.id
    )
    return kept is not None

"""Commands on a saga that exists: lock its row, see what it allows, write what follows; one transaction each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID

import asyncpg

from sagas.models import Saga
from sagas.ports import Json
from sagas.store.database import Connection
from sagas.store.idempotency import Known, Request
from sagas.store.rows import db_now, to_saga

_LOCK = "SELECT FROM saga WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE"
_LOCK_BRANCHES = """
SELECT pg_advisory_xact_lock(key)
FROM (SELECT DISTINCT hashtextextended(name, 0) AS key FROM unnest($1::text[]) AS name ORDER BY key) AS keys
"""
_LIVE_ON_BRANCH = """
SELECT * FROM saga
WHERE project_id = $1 AND branch = $2 AND status NOT IN ('COMPLETED', 'CANCELLED')
ORDER BY created_at
"""
_LIVE_ON_BRANCHES = """
SELECT saga.* FROM unnest($1::bigint[], $2::text[]) AS asked (project_id, branch)
JOIN saga ON saga.project_id = asked.project_id AND saga.branch = asked.branch
WHERE status NOT IN ('COMPLETED', 'CANCELLED')
ORDER BY saga.created_at
"""
# One statement, so that all of it is of one moment; after a lock that was waited for, it sees what its holder left.
_SEEN = """
SELECT
    saga.*, clock_timestamp() AS db_now,
    key.input_hash, key.saga_id AS known_saga_id, key.request_id AS known_request_id,
    asked.expected IS NOT NULL AND EXISTS (
        SELECT FROM saga_event
        WHERE saga_id = asked.saga_id AND version > asked.expected
          AND type NOT IN ('ATTEMPT_FAILED', 'DRAFT_CHANGED', 'OUTPUT_NOTICED')
    ) AS moved,
    asked.expected IS NOT NULL AND EXISTS (
        SELECT FROM saga_event
        WHERE saga_id = asked.saga_id AND version > asked.expected AND from_state IS DISTINCT FROM to_state
    ) AS left,
    draft.visit AS form_visit, draft.document, draft.blob_id, draft.changed_at_version, draft.submitted_hash,
    draft.request_id
FROM unnest($1::uuid[], $2::int[], $3::text[], $4::bigint[], $5::text[], $6::text[])
    WITH ORDINALITY AS asked (saga_id, expected, form, user_id, mutation, key, place)
LEFT JOIN saga ON saga.id = asked.saga_id
LEFT JOIN idempotency_record AS key
    ON (key.user_id, key.mutation, key.key) = (asked.user_id, asked.mutation, asked.key)
LEFT JOIN LATERAL (
    SELECT * FROM draft
    WHERE draft.saga_id = asked.saga_id AND draft.state = asked.form
    ORDER BY visit DESC LIMIT 1
) AS draft ON true
ORDER BY asked.place
"""
_NOW = "SELECT clock_timestamp()"
_RECORDED_BRANCH = """
(
    SELECT branch FROM saga
    WHERE project_id = $1 AND issue_iid = $2 AND definition_name <> 'merge_request'
    ORDER BY created_at DESC LIMIT 1
) UNION ALL (
    SELECT branch FROM archived_saga
    WHERE project_id = $1 AND issue_iid = $2 AND definition_name <> 'merge_request'
    ORDER BY created_at DESC LIMIT 1
) LIMIT 1
"""
_SAGA = "SELECT * FROM saga WHERE id = $1"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command needs to know beside its saga's row."""

    saga_id: UUID
    request: Request
    expected_version: int | None
    """The version that its user saw."""
    form: str | None = None
    """The input step whose newest draft it is about."""


class Form(NamedTuple):
    """The newest draft of an input step, and what is known of the document that was given for it."""

    visit: int
    document: Json
    blob_id: str | None
    changed_at_version: int
    submitted_hash: str | None
    request_id: UUID | None


@dataclass(frozen=True, slots=True)
class Seen:
    """The answer to `Asked`, all of one moment."""

    saga: Saga
    now: datetime
    """The database's time."""
    known: Known | None
    """What the request's key stands for already."""
    moved: bool
    """Whether the saga has moved since the expected version; failed attempts, changed drafts and notices do not move it."""
    left: bool
    """Whether the saga has left the step that it was in at that version, by whatever way."""
    form: Form | None


async def lock(connection: Connection, saga_ids: Sequence[UUID]) -> None:
    """Hold the rows of these sagas until the transaction ends."""
    await connection.fetch(_LOCK, saga_ids)


async def seen(connection: Connection, asked: Sequence[Asked]) -> list[Seen | None]:
    """What each command needs to know; None for a saga that is not there."""
    columns = zip(
        *((a.saga_id, a.expected_version, a.form, a.request.user_id, a.request.mutation, a.request.key) for a in asked),
        strict=True,
    )
    return [_seen(record) for record in await connection.fetch(_SEEN, *columns)]


def _seen(record: asyncpg.Record) -> Seen | None:
    if record["id"] is None:
        return None
    known = None
    if record["known_saga_id"] is not None:
        known = Known(record["known_saga_id"], record["input_hash"], record["known_request_id"])
    form = None if record["form_visit"] is None else Form(*_form_values(record))
    return Seen(to_saga(record), db_now(record), known, record["moved"], record["left"], form)


_form_values = itemgetter("form_visit", *Form._fields[1:])


async def saga(connection: Connection, saga_id: UUID) -> Saga | None:
    """The saga as it is now, unlocked."""
    record = await connection.fetchrow(_SAGA, saga_id)
    return None if record is None else to_saga(record)


async def lock_branches(connection: Connection, branches: Iterable[tuple[int, str]]) -> None:
    """Let starts on one branch (project id, name) go one after the other; the locks go with the transaction."""
    await connection.execute(_LOCK_BRANCHES, [f"{project_id}:{branch}" for project_id, branch in branches])


async def live_on_branches(connection: Connection, branches: Sequence[tuple[int, str]]) -> Sequence[Saga]:
    """The live sagas of these branches, oldest first."""
    return [to_saga(record) for record in await connection.fetch(_LIVE_ON_BRANCHES, *zip(*branches, strict=True))]


async def live_on_branch(connection: Connection, project_id: int, branch: str) -> Sequence[Saga]:
    """The live sagas of a branch, oldest first."""
    return [to_saga(record) for record in await connection.fetch(_LIVE_ON_BRANCH, project_id, branch)]


async def now(connection: Connection) -> datetime:
    """The database's time."""
    value: datetime = await connection.fetchval(_NOW)
    return value


async def recorded_branch(connection: Connection, project_id: int, issue_iid: int) -> str | None:
    """The branch that the newest saga of this issue worked on."""
    branch: str | None = await connection.fetchval(_RECORDED_BRANCH, project_id, issue_iid)
    return branch

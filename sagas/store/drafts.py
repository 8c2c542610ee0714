"""Drafts: what a form starts from, and what its user gave."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sagas.models import Draft
from sagas.results import NewDraft
from sagas.store.database import Connection
from sagas.store.rows import to_draft

_DRAFT = "SELECT * FROM draft WHERE saga_id = $1 AND state = $2 AND visit = $3"
_LATEST = "SELECT * FROM draft WHERE saga_id = $1 AND state = $2 ORDER BY visit DESC LIMIT 1"
_SUBMIT = """
INSERT INTO draft (saga_id, state, visit, document, blob_id, changed_at_version,
                   submitted, submitted_hash, submitted_by, request_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (saga_id, state, visit) DO UPDATE
SET submitted = excluded.submitted, submitted_hash = excluded.submitted_hash,
    submitted_by = excluded.submitted_by, request_id = excluded.request_id
"""


@dataclass(frozen=True, slots=True)
class Submission:
    """The document that a user gave for one visit of an input step."""

    saga_id: UUID
    state: str
    visit: int
    base: NewDraft
    """The draft that it was made from, where no row has it yet."""
    changed_at_version: int
    values: dict[str, Any]
    values_hash: str
    user: dict[str, Any]
    request_id: UUID


async def draft(connection: Connection, saga_id: UUID, state: str, visit: int) -> Draft | None:
    """The draft of one visit of an input step."""
    record = await connection.fetchrow(_DRAFT, saga_id, state, visit)
    return None if record is None else to_draft(record)


async def latest_draft(connection: Connection, saga_id: UUID, state: str) -> Draft | None:
    """The draft of the newest visit of an input step."""
    record = await connection.fetchrow(_LATEST, saga_id, state)
    return None if record is None else to_draft(record)


async def submit(connection: Connection, given: Sequence[Submission]) -> None:
    """Keep the documents that users gave."""
    await connection.executemany(
        _SUBMIT,
        [
            (
                row.saga_id,
                row.state,
                row.visit,
                row.base.document,
                row.base.blob_id,
                row.changed_at_version,
                row.values,
                row.values_hash,
                row.user,
                row.request_id,
            )
            for row in given
        ],
    )

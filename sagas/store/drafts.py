"""Drafts: what a form starts from, and what its user gave."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sagas.models import Draft
from sagas.results import NewDraft
from sagas.store.database import Connection, dump
from sagas.store.rows import to_draft
from sagas.store.statement import Part, insert

_DRAFT = "SELECT * FROM draft WHERE saga_id = $1 AND state = $2 AND visit = $3"
_LATEST = "SELECT * FROM draft WHERE saga_id = $1 AND state = $2 ORDER BY visit DESC LIMIT 1"
_SUBMITTED = ("submitted", "submitted_hash", "submitted_by", "request_id")
GIVEN = ("saga_id", "state", "visit", "document", "blob_id", "changed_at_version", *_SUBMITTED)
KEEP_SUBMITTED = f"""
ON CONFLICT (saga_id, state, visit) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _SUBMITTED)}
"""
SUBMIT = Part("submitted", Draft, GIVEN, insert("draft", GIVEN) + KEEP_SUBMITTED)
"""Keeps the documents that users gave."""


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


def submission_rows(given: Iterable[Submission]) -> list[tuple[Any, ...]]:
    """The rows of `SUBMIT`."""
    return [
        (
            row.saga_id,
            row.state,
            row.visit,
            dump(row.base.document),
            row.base.blob_id,
            row.changed_at_version,
            dump(row.values),
            row.values_hash,
            dump(row.user),
            row.request_id,
        )
        for row in given
    ]

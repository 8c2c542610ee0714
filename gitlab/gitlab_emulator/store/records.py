"""The rows as frozen dataclasses, and reading them."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from typing import ClassVar, TypeVar, get_origin


class Role(IntEnum):
    """Access levels; `NONE` for somebody who is no member."""

    NONE = 0
    GUEST = 10
    PLANNER = 15
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50


@dataclass(frozen=True)
class User:
    """A person or a bot."""

    id: int
    username: str
    name: str
    email: str
    is_admin: bool
    is_bot: bool
    state: str
    created_at: str


@dataclass(frozen=True)
class Token:
    """A personal, impersonation or project access token; its text is stored as a digest only."""

    id: int
    user_id: int
    name: str
    description: str | None
    digest: str
    scopes: tuple[str, ...]
    revoked: bool
    impersonation: bool
    project_id: int | None
    expires_at: str | None
    created_at: str
    last_used_at: str | None


@dataclass(frozen=True)
class Namespace:
    """A user's own space or a group."""

    id: int
    kind: str
    name: str
    path: str
    full_path: str
    parent_id: int | None
    owner_id: int | None
    visibility: str
    created_at: str


@dataclass(frozen=True)
class Project:
    """A project's metadata; its repository is `<id>.git`."""

    id: int
    namespace_id: int
    name: str
    path: str
    full_path: str
    description: str | None
    visibility: str
    archived: bool
    remove_source_branch_after_merge: bool
    issue_branch_template: str | None
    creator_id: int
    created_at: str
    last_activity_at: str
    marked_for_deletion_on: str | None


@dataclass(frozen=True)
class Member:
    """One user's direct role in a project or group."""

    source_kind: str
    source_id: int
    user_id: int
    access_level: int
    created_at: str
    expires_at: str | None


@dataclass(frozen=True)
class ProtectedBranch:
    """A protection; `name` may hold `*`."""

    id: int
    project_id: int
    name: str
    push_level: int
    merge_level: int
    allow_force_push: bool


@dataclass(frozen=True)
class Issue:
    """An issue."""

    KIND: ClassVar[str] = "Issue"

    id: int
    project_id: int
    iid: int
    title: str
    description: str | None
    state: str
    labels: tuple[str, ...]
    author_id: int
    assignee_ids: tuple[int, ...]
    issue_type: str
    confidential: bool
    due_date: str | None
    created_at: str
    updated_at: str
    closed_at: str | None
    closed_by_id: int | None


@dataclass(frozen=True)
class MergeRequest:
    """A merge request; while it is open its `head_sha` follows the source branch."""

    KIND: ClassVar[str] = "MergeRequest"

    id: int
    project_id: int
    iid: int
    title: str
    description: str | None
    state: str
    source_branch: str
    target_branch: str
    head_sha: str | None
    base_sha: str | None
    labels: tuple[str, ...]
    author_id: int
    assignee_ids: tuple[int, ...]
    reviewer_ids: tuple[int, ...]
    squash: bool
    remove_source_branch: bool
    merge_commit_sha: str | None
    squash_commit_sha: str | None
    created_at: str
    updated_at: str
    merged_at: str | None
    merged_by_id: int | None
    closed_at: str | None
    closed_by_id: int | None


@dataclass(frozen=True)
class Note:
    """A comment."""

    id: int
    project_id: int
    noteable_kind: str
    noteable_id: int
    noteable_iid: int
    body: str
    author_id: int
    internal: bool
    created_at: str
    updated_at: str


@dataclass(frozen=True)
class CommitStatus:
    """An external status of a commit."""

    id: int
    project_id: int
    sha: str
    ref: str | None
    state: str
    name: str
    target_url: str | None
    description: str | None
    author_id: int
    created_at: str


@dataclass(frozen=True)
class Hook:
    """A project webhook; `events` are the names of its switches that are on."""

    id: int
    project_id: int
    uuid: str
    url: str
    name: str | None
    description: str | None
    token: str | None
    signing_token: str | None
    events: tuple[str, ...]
    push_events_branch_filter: str | None
    branch_filter_strategy: str
    enable_ssl_verification: bool
    custom_headers: tuple[tuple[str, str], ...]
    failures: int
    disabled_until: str | None
    created_at: str


@dataclass(frozen=True)
class Delivery:
    """One message to one hook; `due_at` is None once it needs no further try."""

    id: int
    hook_id: int
    uuid: str
    event_uuid: str
    event: str
    body: str
    instance: str
    due_at: str | None
    attempts: int
    response_status: str | None
    response_body: str | None
    execution_seconds: float
    created_at: str


Record = TypeVar("Record")
SqlValue = str | int | float | None


def fetch_all(connection: sqlite3.Connection, kind: type[Record], sql: str, *values: SqlValue) -> list[Record]:
    """The rows of a `SELECT *` as records."""
    readers = _readers(kind)
    return [
        kind(**{name: read(row[name]) for name, read in readers}) for row in connection.execute(sql, values).fetchall()
    ]


def fetch(connection: sqlite3.Connection, kind: type[Record], sql: str, *values: SqlValue) -> Record | None:
    """The first row, None when there is none."""
    found = fetch_all(connection, kind, sql, *values)
    return found[0] if found else None


def count(connection: sqlite3.Connection, sql: str, *values: SqlValue) -> int:
    """The one number that a query answers."""
    return int(connection.execute(sql, values).fetchone()[0])


def insert(connection: sqlite3.Connection, table: str, **values: object) -> int:
    """Add a row of checked column names; returns its id."""
    columns = ", ".join(values)
    marks = ", ".join("?" * len(values))
    cursor = connection.execute(
        f"INSERT INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608 - names are written in this package
        [to_column(value) for value in values.values()],
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def update(connection: sqlite3.Connection, table: str, row_id: int, **values: object) -> None:
    """Change columns of one row."""
    if not values:
        return
    changes = ", ".join(f"{column} = ?" for column in values)
    connection.execute(
        f"UPDATE {table} SET {changes} WHERE id = ?",  # noqa: S608 - names are written in this package
        [*(to_column(value) for value in values.values()), row_id],
    )


def to_column(value: object) -> SqlValue:
    """A field's value as SQLite keeps it."""
    if isinstance(value, bool):
        return int(value)
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Sequence):
        return json.dumps(list(value))
    raise TypeError(f"no column form for {value!r}")


_Reader = Callable[[object], object]


def _readers(kind: type[object]) -> tuple[tuple[str, _Reader], ...]:
    if not is_dataclass(kind):
        raise TypeError(f"{kind} is no record")
    return tuple((field.name, _reader(field.type)) for field in fields(kind))


def _reader(annotation: object) -> _Reader:
    if annotation is bool:
        return bool
    return _from_json if get_origin(annotation) is tuple else _as_it_is


def _as_it_is(value: object) -> object:
    return value


def _from_json(value: object) -> tuple[object, ...]:
    return tuple(tuple(item) if isinstance(item, list) else item for item in json.loads(str(value)))

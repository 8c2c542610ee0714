"""Issues, notes on issues and merge requests, and commit statuses."""

import sqlite3
from dataclasses import dataclass

from gitlab_emulator.store.records import CommitStatus, Issue, MergeRequest, Note, count, fetch, fetch_all, insert
from gitlab_emulator.times import timestamp


@dataclass(frozen=True)
class Where:
    """Conditions of a query, joined by AND, with their values."""

    conditions: tuple[str, ...] = ()
    values: tuple[str | int, ...] = ()

    def also(self, condition: str, *values: str | int) -> "Where":
        """One more condition; text from a caller goes into the values only."""
        return Where((*self.conditions, condition), (*self.values, *values))

    @property
    def sql(self) -> str:
        """The WHERE clause."""
        return "WHERE " + " AND ".join(self.conditions) if self.conditions else ""


def issue_by_iid(connection: sqlite3.Connection, project_id: int, iid: int) -> Issue | None:
    """An issue by its number within the project."""
    return fetch(connection, Issue, "SELECT * FROM issues WHERE project_id = ? AND iid = ?", project_id, iid)


def find_issues(
    connection: sqlite3.Connection, where: Where, *, order: str, limit: int, offset: int
) -> tuple[list[Issue], int]:
    """One page and the number of all; `order` is an ORDER BY written in this package."""
    total = count(connection, f"SELECT count(*) FROM issues {where.sql}", *where.values)  # noqa: S608 - values are bound
    rows = fetch_all(
        connection,
        Issue,
        f"SELECT * FROM issues {where.sql} ORDER BY {order} LIMIT ? OFFSET ?",  # noqa: S608 - values are bound
        *where.values,
        limit,
        offset,
    )
    return rows, total


def add_issue(connection: sqlite3.Connection, project_id: int, **values: object) -> Issue:
    """A new issue with the project's next number."""
    now = timestamp()
    iid = next_iid(connection, "issues", project_id)
    insert(connection, "issues", project_id=project_id, iid=iid, created_at=now, updated_at=now, **values)
    issue = issue_by_iid(connection, project_id, iid)
    assert issue is not None
    return issue


def next_iid(connection: sqlite3.Connection, table: str, project_id: int) -> int:
    """The next number within a project; the caller's transaction is the only writer."""
    return count(
        connection,
        f"SELECT coalesce(max(iid), 0) + 1 FROM {table} WHERE project_id = ?",  # noqa: S608 - our own table names
        project_id,
    )


def open_issue_count(connection: sqlite3.Connection, project_id: int) -> int:
    """How many issues of a project are open."""
    return count(connection, "SELECT count(*) FROM issues WHERE project_id = ? AND state = 'opened'", project_id)


def notes_of(connection: sqlite3.Connection, subject: Issue | MergeRequest) -> list[Note]:
    """The notes of an issue or merge request, oldest first."""
    return fetch_all(
        connection,
        Note,
        "SELECT * FROM notes WHERE noteable_kind = ? AND noteable_id = ? ORDER BY id",
        subject.KIND,
        subject.id,
    )


def note_count(connection: sqlite3.Connection, subject: Issue | MergeRequest) -> int:
    """How many notes a subject has."""
    return count(
        connection,
        "SELECT count(*) FROM notes WHERE noteable_kind = ? AND noteable_id = ?",
        subject.KIND,
        subject.id,
    )


def note_by_id(connection: sqlite3.Connection, subject: Issue | MergeRequest, note_id: int) -> Note | None:
    """One note of a subject."""
    return fetch(
        connection,
        Note,
        "SELECT * FROM notes WHERE id = ? AND noteable_kind = ? AND noteable_id = ?",
        note_id,
        subject.KIND,
        subject.id,
    )


def add_note(
    connection: sqlite3.Connection, subject: Issue | MergeRequest, *, body: str, author_id: int, internal: bool
) -> Note:
    """A new note."""
    now = timestamp()
    note_id = insert(
        connection,
        "notes",
        project_id=subject.project_id,
        noteable_kind=subject.KIND,
        noteable_id=subject.id,
        noteable_iid=subject.iid,
        body=body,
        author_id=author_id,
        internal=internal,
        created_at=now,
        updated_at=now,
    )
    note = note_by_id(connection, subject, note_id)
    assert note is not None
    return note


def set_commit_status(
    connection: sqlite3.Connection,
    *,
    project_id: int,
    sha: str,
    name: str,
    state: str,
    ref: str | None,
    target_url: str | None,
    description: str | None,
    author_id: int,
) -> CommitStatus:
    """The newest status of a commit under a name."""
    connection.execute(
        "INSERT INTO commit_statuses (project_id, sha, ref, state, name, target_url, description, author_id, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (project_id, sha, name) DO UPDATE SET state = excluded.state,"
        " ref = excluded.ref, target_url = excluded.target_url, description = excluded.description",
        (project_id, sha, ref, state, name, target_url, description, author_id, timestamp()),
    )
    return next(one for one in commit_statuses(connection, project_id, sha) if one.name == name)


def commit_statuses(connection: sqlite3.Connection, project_id: int, sha: str) -> list[CommitStatus]:
    """The statuses of a commit."""
    return fetch_all(
        connection,
        CommitStatus,
        "SELECT * FROM commit_statuses WHERE project_id = ? AND sha = ? ORDER BY id",
        project_id,
        sha,
    )

"""Merge requests."""

import sqlite3

from gitlab_emulator.store.issues import Where, next_iid
from gitlab_emulator.store.records import MergeRequest, count, fetch, fetch_all, insert, update
from gitlab_emulator.times import timestamp


def merge_request_by_iid(connection: sqlite3.Connection, project_id: int, iid: int) -> MergeRequest | None:
    """A merge request by its number within the project."""
    return fetch(
        connection, MergeRequest, "SELECT * FROM merge_requests WHERE project_id = ? AND iid = ?", project_id, iid
    )


def find_merge_requests(
    connection: sqlite3.Connection, where: Where, *, order: str, limit: int, offset: int
) -> tuple[list[MergeRequest], int]:
    """One page and the number of all; `order` is an ORDER BY written in this package."""
    total = count(connection, f"SELECT count(*) FROM merge_requests {where.sql}", *where.values)  # noqa: S608 - values are bound
    rows = fetch_all(
        connection,
        MergeRequest,
        f"SELECT * FROM merge_requests {where.sql} ORDER BY {order} LIMIT ? OFFSET ?",  # noqa: S608 - values are bound
        *where.values,
        limit,
        offset,
    )
    return rows, total


def open_merge_requests(connection: sqlite3.Connection, project_id: int, *, branch: str) -> list[MergeRequest]:
    """The open ones that come from or go to a branch."""
    return fetch_all(
        connection,
        MergeRequest,
        "SELECT * FROM merge_requests WHERE project_id = ? AND state = 'opened' "
        "AND (source_branch = ? OR target_branch = ?) ORDER BY id",
        project_id,
        branch,
        branch,
    )


def open_twin(connection: sqlite3.Connection, project_id: int, source: str, target: str) -> MergeRequest | None:
    """The open merge request between the same two branches."""
    return fetch(
        connection,
        MergeRequest,
        "SELECT * FROM merge_requests WHERE project_id = ? AND state = 'opened' "
        "AND source_branch = ? AND target_branch = ?",
        project_id,
        source,
        target,
    )


def locked_merge_requests(connection: sqlite3.Connection) -> list[MergeRequest]:
    """Those whose merge was under way when the process ended."""
    return fetch_all(connection, MergeRequest, "SELECT * FROM merge_requests WHERE state = 'locked'")


def add_merge_request(connection: sqlite3.Connection, project_id: int, **values: object) -> MergeRequest:
    """A new merge request with the project's next number."""
    now = timestamp()
    iid = next_iid(connection, "merge_requests", project_id)
    insert(connection, "merge_requests", project_id=project_id, iid=iid, created_at=now, updated_at=now, **values)
    merge_request = merge_request_by_iid(connection, project_id, iid)
    assert merge_request is not None
    return merge_request


def change_merge_request(connection: sqlite3.Connection, merge_request: MergeRequest, **values: object) -> MergeRequest:
    """The merge request after a change."""
    update(connection, "merge_requests", merge_request.id, updated_at=timestamp(), **values)
    changed = merge_request_by_iid(connection, merge_request.project_id, merge_request.iid)
    assert changed is not None
    return changed

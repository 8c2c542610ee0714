"""Webhooks and their deliveries."""

import sqlite3

from gitlab_emulator.store.records import Delivery, Hook, fetch, fetch_all, insert, update
from gitlab_emulator.times import timestamp


def hooks_of(connection: sqlite3.Connection, project_id: int) -> list[Hook]:
    """The hooks of a project, by number."""
    return fetch_all(connection, Hook, "SELECT * FROM hooks WHERE project_id = ? ORDER BY id", project_id)


def hook_by_id(connection: sqlite3.Connection, hook_id: int) -> Hook | None:
    """A hook by its number."""
    return fetch(connection, Hook, "SELECT * FROM hooks WHERE id = ?", hook_id)


def add_hook(connection: sqlite3.Connection, project_id: int, **values: object) -> Hook:
    """A new hook."""
    hook_id = insert(connection, "hooks", project_id=project_id, created_at=timestamp(), **values)
    hook = hook_by_id(connection, hook_id)
    assert hook is not None
    return hook


def change_hook(connection: sqlite3.Connection, hook_id: int, **values: object) -> Hook:
    """The hook after a change."""
    update(connection, "hooks", hook_id, **values)
    hook = hook_by_id(connection, hook_id)
    assert hook is not None
    return hook


def delete_hook(connection: sqlite3.Connection, hook_id: int) -> None:
    """Remove a hook with its deliveries."""
    connection.execute("DELETE FROM hooks WHERE id = ?", (hook_id,))


def add_delivery(connection: sqlite3.Connection, **values: object) -> Delivery:
    """A message that waits for its time."""
    delivery_id = insert(connection, "deliveries", created_at=timestamp(), **values)
    delivery = delivery_by_id(connection, delivery_id)
    assert delivery is not None
    return delivery


def delivery_by_id(connection: sqlite3.Connection, delivery_id: int) -> Delivery | None:
    """A delivery by its number."""
    return fetch(connection, Delivery, "SELECT * FROM deliveries WHERE id = ?", delivery_id)


def deliveries_of(connection: sqlite3.Connection, hook_id: int) -> list[Delivery]:
    """What was sent to a hook, newest first."""
    return fetch_all(connection, Delivery, "SELECT * FROM deliveries WHERE hook_id = ? ORDER BY id DESC", hook_id)


def due_deliveries(connection: sqlite3.Connection, now: str, limit: int) -> list[Delivery]:
    """Messages whose time has come, in the order in which they were queued."""
    return fetch_all(
        connection,
        Delivery,
        "SELECT * FROM deliveries WHERE due_at IS NOT NULL AND due_at <= ? ORDER BY id LIMIT ?",
        now,
        limit,
    )


def next_due(connection: sqlite3.Connection) -> str | None:
    """When the next message is due; None when none waits."""
    row = connection.execute("SELECT min(due_at) FROM deliveries WHERE due_at IS NOT NULL").fetchone()
    return None if row[0] is None else str(row[0])


def change_delivery(connection: sqlite3.Connection, delivery_id: int, **values: object) -> None:
    """Record how a try went."""
    update(connection, "deliveries", delivery_id, **values)


def forget_old_deliveries(connection: sqlite3.Connection, before: str) -> None:
    """Remove the history of messages that were made before a time and wait for nothing."""
    connection.execute("DELETE FROM deliveries WHERE due_at IS NULL AND created_at < ?", (before,))

"""Projects, their members and protected branches."""

import sqlite3
from fnmatch import fnmatchcase

from gitlab_emulator.store.records import (
    Member,
    Namespace,
    Project,
    ProtectedBranch,
    Role,
    User,
    fetch,
    fetch_all,
    insert,
)
from gitlab_emulator.store.users import ancestors
from gitlab_emulator.times import timestamp

PROJECT = "project"
GROUP = "group"


def project_by_id(connection: sqlite3.Connection, project_id: int) -> Project | None:
    """A project by its number."""
    return fetch(connection, Project, "SELECT * FROM projects WHERE id = ?", project_id)


def project_by_path(connection: sqlite3.Connection, full_path: str) -> Project | None:
    """A project by its full path, in any case of letters."""
    return fetch(connection, Project, "SELECT * FROM projects WHERE full_path = ?", full_path)


def moved_project(connection: sqlite3.Connection, full_path: str) -> Project | None:
    """The project that had this path once."""
    return fetch(
        connection,
        Project,
        "SELECT p.* FROM projects p JOIN redirects r ON r.project_id = p.id WHERE r.full_path = ?",
        full_path,
    )


def all_projects(connection: sqlite3.Connection) -> list[Project]:
    """All of them, by number."""
    return fetch_all(connection, Project, "SELECT * FROM projects ORDER BY id")


def add_project(
    connection: sqlite3.Connection,
    *,
    namespace: Namespace,
    name: str,
    path: str,
    description: str | None,
    visibility: str,
    remove_source_branch_after_merge: bool,
    creator: User,
) -> Project:
    """A project and its creator's (in a user's namespace: its owner's) Owner role."""
    now = timestamp()
    project_id = insert(
        connection,
        "projects",
        namespace_id=namespace.id,
        name=name,
        path=path,
        full_path=f"{namespace.full_path}/{path}",
        description=description,
        visibility=visibility,
        remove_source_branch_after_merge=remove_source_branch_after_merge,
        creator_id=creator.id,
        created_at=now,
        last_activity_at=now,
    )
    set_member(connection, PROJECT, project_id, namespace.owner_id or creator.id, Role.OWNER, None)
    project = project_by_id(connection, project_id)
    assert project is not None
    return project


def move_project(connection: sqlite3.Connection, project: Project, full_path: str) -> None:
    """Give a project another path; the old one redirects."""
    connection.execute("INSERT OR REPLACE INTO redirects VALUES (?, ?)", (project.full_path, project.id))
    connection.execute("DELETE FROM redirects WHERE full_path = ?", (full_path,))
    connection.execute("UPDATE projects SET full_path = ? WHERE id = ?", (full_path, project.id))


def touch_project(connection: sqlite3.Connection, project_id: int) -> None:
    """Note that something happened in a project."""
    connection.execute("UPDATE projects SET last_activity_at = ? WHERE id = ?", (timestamp(), project_id))


def member(connection: sqlite3.Connection, kind: str, source_id: int, user_id: int) -> Member | None:
    """A direct membership."""
    return fetch(
        connection,
        Member,
        "SELECT * FROM members WHERE source_kind = ? AND source_id = ? AND user_id = ?",
        kind,
        source_id,
        user_id,
    )


def members(connection: sqlite3.Connection, kind: str, source_id: int) -> list[Member]:
    """Direct members by user id."""
    return fetch_all(
        connection,
        Member,
        "SELECT * FROM members WHERE source_kind = ? AND source_id = ? ORDER BY user_id",
        kind,
        source_id,
    )


def set_member(
    connection: sqlite3.Connection, kind: str, source_id: int, user_id: int, level: int, expires_at: str | None
) -> None:
    """Add a member or change a role."""
    connection.execute(
        "INSERT INTO members VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (source_kind, source_id, user_id) "
        "DO UPDATE SET access_level = excluded.access_level, expires_at = excluded.expires_at",
        (kind, source_id, user_id, int(level), timestamp(), expires_at),
    )


def remove_member(connection: sqlite3.Connection, kind: str, source_id: int, user_id: int) -> bool:
    """Take a direct role away; False when there was none."""
    cursor = connection.execute(
        "DELETE FROM members WHERE source_kind = ? AND source_id = ? AND user_id = ?", (kind, source_id, user_id)
    )
    return cursor.rowcount > 0


def effective_members(connection: sqlite3.Connection, project: Project) -> list[Member]:
    """Direct and inherited members, each with the highest role, by user id."""
    found: dict[int, Member] = {}
    groups = ancestors(connection, project.namespace_id)
    every = members(connection, PROJECT, project.id)
    every += [one for group in groups for one in members(connection, GROUP, group.id)]
    for one in every:
        if one.user_id not in found or found[one.user_id].access_level < one.access_level:
            found[one.user_id] = one
    return [found[user_id] for user_id in sorted(found)]


def inherited_role(connection: sqlite3.Connection, namespace_id: int, user_id: int) -> int:
    """The highest role a user has through the groups above."""
    levels = [Role.NONE.value]
    for group in ancestors(connection, namespace_id):
        direct = member(connection, GROUP, group.id, user_id)
        levels.append(direct.access_level if direct else Role.NONE.value)
    return max(levels)


def role_in_project(connection: sqlite3.Connection, project: Project, user: User | None) -> int:
    """What a user may do in a project; administrators count as owners."""
    if user is None:
        return Role.NONE
    if user.is_admin:
        return Role.OWNER
    direct = member(connection, PROJECT, project.id, user.id)
    return max(direct.access_level if direct else 0, inherited_role(connection, project.namespace_id, user.id))


def protections(connection: sqlite3.Connection, project_id: int) -> list[ProtectedBranch]:
    """All protections of a project, by name."""
    return fetch_all(
        connection, ProtectedBranch, "SELECT * FROM protected_branches WHERE project_id = ? ORDER BY name", project_id
    )


def protection_named(connection: sqlite3.Connection, project_id: int, name: str) -> ProtectedBranch | None:
    """The protection with exactly this name or pattern."""
    return fetch(
        connection,
        ProtectedBranch,
        "SELECT * FROM protected_branches WHERE project_id = ? AND name = ?",
        project_id,
        name,
    )


def protection_of(connection: sqlite3.Connection, project_id: int, branch: str) -> ProtectedBranch | None:
    """What protects a branch; of several the most permissive one, as GitLab reads them."""
    matching = [one for one in protections(connection, project_id) if _matches(one.name, branch)]
    return min(matching, key=lambda one: one.push_level or 100, default=None)


def _matches(pattern: str, branch: str) -> bool:
    # Only the star is special in GitLab's patterns.
    return pattern == branch or fnmatchcase(branch, pattern.replace("[", "[[]").replace("?", "[?]"))

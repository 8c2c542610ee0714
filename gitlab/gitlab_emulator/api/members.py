"""Members of projects and groups."""

import sqlite3
from collections.abc import Sequence

from gitlab_emulator.api.users import visible_group
from gitlab_emulator.call import Call
from gitlab_emulator.errors import forbidden, not_found, with_error, with_message
from gitlab_emulator.pagination import list_reply, page_of
from gitlab_emulator.present.people import member_json
from gitlab_emulator.replies import Reply, created, json_reply, no_content
from gitlab_emulator.routes import ApiRouter
from gitlab_emulator.store.projects import (
    GROUP,
    PROJECT,
    effective_members,
    member,
    members,
    remove_member,
    set_member,
)
from gitlab_emulator.store.records import Member, Role
from gitlab_emulator.store.users import user_by_id

router = ApiRouter()


@router.get("/projects/:id/members")
def list_members(call: Call) -> Reply:
    """`GET /projects/:id/members`: the direct ones."""
    project = call.project().project
    with call.services.database.reading() as connection:
        return _list(call, connection, members(connection, PROJECT, project.id))


@router.get("/projects/:id/members/all")
def list_all_members(call: Call) -> Reply:
    """`GET /projects/:id/members/all`: with the inherited ones."""
    project = call.project().project
    with call.services.database.reading() as connection:
        return _list(call, connection, effective_members(connection, project))


@router.get("/projects/:id/members/all/:user_id")
def get_effective_member(call: Call) -> Reply:
    """`GET /projects/:id/members/all/:user_id`: the highest role of one user."""
    project = call.project().project
    user_id = call.number("user_id")
    with call.services.database.reading() as connection:
        found = next((one for one in effective_members(connection, project) if one.user_id == user_id), None)
        return json_reply(_json(call, connection, found))


@router.get("/projects/:id/members/:user_id")
def get_member(call: Call) -> Reply:
    """`GET /projects/:id/members/:user_id`: a direct role."""
    project = call.project().project
    with call.services.database.reading() as connection:
        return json_reply(_json(call, connection, member(connection, PROJECT, project.id, call.number("user_id"))))


@router.post("/projects/:id/members")
def add_member(call: Call) -> Reply:
    """`POST /projects/:id/members`; a maintainer cannot make an owner."""
    access = call.project(Role.MAINTAINER)
    return _add(call, PROJECT, access.project.id, access.role)


@router.put("/projects/:id/members/:user_id")
def change_member(call: Call) -> Reply:
    """`PUT /projects/:id/members/:user_id`."""
    access = call.project(Role.MAINTAINER)
    return _change(call, PROJECT, access.project.id, access.role)


@router.delete("/projects/:id/members/:user_id")
def delete_member(call: Call) -> Reply:
    """`DELETE /projects/:id/members/:user_id`; everybody may leave."""
    leaving = call.path["user_id"] == str(call.user.id)
    access = call.project(Role.NONE if leaving else Role.MAINTAINER)
    return _remove(call, PROJECT, access.project.id)


@router.get("/groups/:id/members")
def list_group_members(call: Call) -> Reply:
    """`GET /groups/:id/members`."""
    group = visible_group(call)
    with call.services.database.reading() as connection:
        return _list(call, connection, members(connection, GROUP, group.id))


@router.post("/groups/:id/members")
def add_group_member(call: Call) -> Reply:
    """`POST /groups/:id/members`."""
    return _add(call, GROUP, visible_group(call, Role.OWNER).id, Role.OWNER)


@router.put("/groups/:id/members/:user_id")
def change_group_member(call: Call) -> Reply:
    """`PUT /groups/:id/members/:user_id`."""
    return _change(call, GROUP, visible_group(call, Role.OWNER).id, Role.OWNER)


@router.delete("/groups/:id/members/:user_id")
def delete_group_member(call: Call) -> Reply:
    """`DELETE /groups/:id/members/:user_id`."""
    return _remove(call, GROUP, visible_group(call, Role.OWNER).id)


def _list(call: Call, connection: sqlite3.Connection, found: Sequence[Member]) -> Reply:
    query = call.params.text("query").lower()
    wanted = call.params.integers("user_ids")
    shown = [
        _json(call, connection, one)
        for one in found
        if (user := user_by_id(connection, one.user_id))
        and query in f"{user.name}\n{user.username}".lower()
        and (not wanted or one.user_id in wanted)
    ]
    page, headers = page_of(call, shown)
    return list_reply(page, headers)


def _add(call: Call, kind: str, source_id: int, own_role: int) -> Reply:
    call.params.require("user_id", "access_level")
    user_id, level = call.params.integer("user_id"), _level(call, own_role)
    with call.services.database.writing() as connection:
        if user_by_id(connection, user_id) is None or user_id is None:
            raise not_found("User")
        if member(connection, kind, source_id, user_id) is not None:
            raise with_message(409, "Member already exists")
        set_member(connection, kind, source_id, user_id, level, call.params.day("expires_at"))
        return created(_json(call, connection, member(connection, kind, source_id, user_id)))


def _change(call: Call, kind: str, source_id: int, own_role: int) -> Reply:
    call.params.require("access_level")
    user_id, level = call.number("user_id"), _level(call, own_role)
    with call.services.database.writing() as connection:
        if member(connection, kind, source_id, user_id) is None:
            raise not_found("Member")
        set_member(connection, kind, source_id, user_id, level, call.params.day("expires_at"))
        return json_reply(_json(call, connection, member(connection, kind, source_id, user_id)))


def _remove(call: Call, kind: str, source_id: int) -> Reply:
    with call.services.database.writing() as connection:
        if not remove_member(connection, kind, source_id, call.number("user_id")):
            raise not_found("Member")
    return no_content()


def _level(call: Call, own_role: int) -> int:
    level = call.params.integer("access_level")
    if level is None or level not in tuple(Role)[1:]:
        raise with_error("access_level does not have a valid value")
    if level > own_role:
        raise forbidden()
    return level


def _json(call: Call, connection: sqlite3.Connection, found: Member | None) -> dict[str, object]:
    user = user_by_id(connection, found.user_id) if found else None
    if found is None or user is None:
        raise not_found()
    return member_json(found, user, call.base_url)

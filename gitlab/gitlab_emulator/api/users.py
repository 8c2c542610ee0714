"""Users and groups."""

import re

from gitlab_emulator.call import Call, is_number
from gitlab_emulator.errors import forbidden, invalid, not_found, with_message
from gitlab_emulator.pagination import list_reply, page_of
from gitlab_emulator.present.people import group_json, namespace_json, user_basic, user_full
from gitlab_emulator.replies import Reply, created, json_reply
from gitlab_emulator.routes import ApiRouter
from gitlab_emulator.store.projects import GROUP, inherited_role, set_member
from gitlab_emulator.store.records import Namespace, Role, User, update
from gitlab_emulator.store.users import (
    add_group,
    add_user,
    all_namespaces,
    all_users,
    ancestors,
    email_taken,
    namespace_by_id,
    namespace_by_path,
    user_by_id,
    user_by_name,
)

router = ApiRouter()
_SCOPES = frozenset({"read_user"})
_NAME = re.compile(r"^[A-Za-z0-9_.][A-Za-z0-9_.-]*(?<![.])$")


@router.get("/user", scopes=_SCOPES)
def current_user(call: Call) -> Reply:
    """`GET /user`: who the token belongs to."""
    return json_reply(user_full(call.user, call.base_url, by_admin=call.user.is_admin))


@router.get("/users", scopes=_SCOPES)
def list_users(call: Call) -> Reply:
    """`GET /users`: by `username`, or `search` in name, username and address."""
    viewer = call.user
    with call.services.database.reading() as connection:
        found = all_users(connection)
    username = call.params.optional_text("username")
    search = call.params.text("search").lower()
    if username is not None:
        found = [user for user in found if user.username.lower() == username.lower()]
    if search:
        found = [user for user in found if search in f"{user.name}\n{user.username}\n{user.email}".lower()]
    page, headers = page_of(call, found)
    return list_reply([_shown(call, user, viewer) for user in page], headers)


@router.get("/users/:id", scopes=_SCOPES)
def get_user(call: Call) -> Reply:
    """`GET /users/:id`."""
    return json_reply(_shown(call, _user(call), call.user))


@router.post("/users")
def create_user(call: Call) -> Reply:
    """`POST /users`, by an administrator. A password is not asked for: nobody signs in here."""
    _ = call.admin
    call.params.require("email", "name", "username")
    username = call.params.text("username")
    if not _NAME.match(username):
        raise invalid(username="can contain only letters, digits, '_', '-' and '.'")
    with call.services.database.writing() as connection:
        if namespace_by_path(connection, username) is not None:
            raise with_message(409, "Username has already been taken")
        if email_taken(connection, call.params.text("email")):
            raise with_message(409, "Email has already been taken")
        user = add_user(
            connection,
            username=username,
            name=call.params.text("name"),
            email=call.params.text("email"),
            is_admin=call.params.boolean("admin"),
        )
    return created(user_full(user, call.base_url, by_admin=True))


@router.put("/users/:id")
def update_user(call: Call) -> Reply:
    """`PUT /users/:id`, by an administrator: `name`, `admin`."""
    _ = call.admin
    user = _user(call)
    with call.services.database.writing() as connection:
        update(
            connection,
            "users",
            user.id,
            name=call.params.text("name", user.name),
            is_admin=call.params.boolean("admin", default=user.is_admin),
        )
    return json_reply(user_full(_user(call), call.base_url, by_admin=True))


@router.post("/users/:id/block")
def block_user(call: Call) -> Reply:
    """`POST /users/:id/block`, by an administrator: tokens of a blocked user open nothing."""
    return _set_state(call, "blocked")


@router.post("/users/:id/unblock")
def unblock_user(call: Call) -> Reply:
    """`POST /users/:id/unblock`, by an administrator."""
    return _set_state(call, "active")


@router.get("/namespaces", scopes=_SCOPES)
def list_namespaces(call: Call) -> Reply:
    """`GET /namespaces`: the caller's own, and the groups of the caller; all for an administrator."""
    user = call.user
    search = call.params.text("search").lower()
    with call.services.database.reading() as connection:
        found = [
            one
            for one in all_namespaces(connection)
            if (user.is_admin or one.owner_id == user.id or inherited_role(connection, one.id, user.id))
            and search in one.full_path.lower()
        ]
    page, headers = page_of(call, found)
    return list_reply([namespace_json(one, call.base_url) for one in page], headers)


@router.get("/namespaces/:id", scopes=_SCOPES)
def get_namespace(call: Call) -> Reply:
    """`GET /namespaces/:id`, by number or full path."""
    _ = call.user
    found = _namespace(call)
    if found is None:
        raise not_found("Namespace")
    return json_reply(namespace_json(found, call.base_url))


@router.get("/groups")
def list_groups(call: Call) -> Reply:
    """`GET /groups`: those the caller may see."""
    search = call.params.text("search").lower()
    with call.services.database.reading() as connection:
        groups = [one for one in all_namespaces(connection) if one.kind == GROUP and search in one.full_path.lower()]
    page, headers = page_of(call, [one for one in groups if _group_role(call, one) or one.visibility == "public"])
    return list_reply([_group_json(call, one) for one in page], headers)


@router.get("/groups/:id")
def get_group(call: Call) -> Reply:
    """`GET /groups/:id`, by number or full path."""
    return json_reply(_group_json(call, visible_group(call)))


@router.post("/groups")
def create_group(call: Call) -> Reply:
    """`POST /groups`; the creator becomes its owner."""
    user = call.user
    call.params.require("name", "path")
    path = call.params.text("path")
    parent_id = call.params.integer("parent_id")
    if not _NAME.match(path):
        raise with_message(
            400, "Failed to save group {:path=>[\"can contain only letters, digits, '_', '-' and '.'\"]}"
        )
    with call.services.database.writing() as connection:
        parent = namespace_by_id(connection, parent_id) if parent_id is not None else None
        if parent_id is not None and (parent is None or parent.kind != GROUP):
            raise not_found("Group")
        if parent and not user.is_admin and inherited_role(connection, parent.id, user.id) < Role.MAINTAINER:
            raise forbidden()
        if namespace_by_path(connection, f"{parent.full_path}/{path}" if parent else path) is not None:
            raise with_message(400, 'Failed to save group {:path=>["has already been taken"]}')
        visibility = call.params.choice("visibility", ("private", "internal", "public"), "private")
        group = add_group(connection, name=call.params.text("name"), path=path, parent=parent, visibility=visibility)
        set_member(connection, GROUP, group.id, user.id, Role.OWNER, None)
    return created(_group_json(call, group))


def visible_group(call: Call, minimum: Role = Role.NONE) -> Namespace:
    """The group of `:id`: 404 when the caller may not see it, 403 below `minimum`."""
    group = _namespace(call)
    role = _group_role(call, group) if group else 0
    if group is None or group.kind != GROUP or not (role or group.visibility == "public"):
        raise not_found("Group")
    if role < minimum:
        raise forbidden()
    return group


def _set_state(call: Call, state: str) -> Reply:
    _ = call.admin
    user = _user(call)
    with call.services.database.writing() as connection:
        update(connection, "users", user.id, state=state)
    return Reply(201, b"true")


def _user(call: Call) -> User:
    _ = call.user
    name = call.path["id"]
    with call.services.database.reading() as connection:
        found = user_by_id(connection, int(name)) if is_number(name) else user_by_name(connection, name)
    if found is None:
        raise not_found("User")
    return found


def _shown(call: Call, user: User, viewer: User) -> dict[str, object]:
    return user_full(user, call.base_url, by_admin=True) if viewer.is_admin else user_basic(user, call.base_url)


def _namespace(call: Call) -> Namespace | None:
    name = call.path["id"]
    with call.services.database.reading() as connection:
        return namespace_by_id(connection, int(name)) if is_number(name) else namespace_by_path(connection, name)


def _group_role(call: Call, group: Namespace) -> int:
    if call.identity is None:
        return Role.NONE
    if call.user.is_admin:
        return Role.OWNER
    with call.services.database.reading() as connection:
        return inherited_role(connection, group.id, call.user.id)


def _group_json(call: Call, group: Namespace) -> dict[str, object]:
    with call.services.database.reading() as connection:
        chain = ancestors(connection, group.id)
    return group_json(group, " / ".join(one.name for one in reversed(chain)), call.base_url)

"""Personal, impersonation and project access tokens."""

import secrets
import sqlite3

from gitlab_emulator.call import Call
from gitlab_emulator.errors import forbidden, not_found, with_error, with_message
from gitlab_emulator.pagination import list_reply, page_of
from gitlab_emulator.present.people import token_json
from gitlab_emulator.replies import Reply, created, json_reply, no_content
from gitlab_emulator.routes import ApiRouter
from gitlab_emulator.store.projects import PROJECT, member, set_member
from gitlab_emulator.store.records import Role, Token, User
from gitlab_emulator.store.users import (
    add_token,
    add_user,
    project_tokens,
    revoke_token,
    token_by_id,
    tokens_of,
    user_by_id,
)

router = ApiRouter()
SCOPES = (
    "api",
    "read_api",
    "read_user",
    "read_repository",
    "write_repository",
    "create_runner",
    "ai_features",
    "k8s_proxy",
    "self_rotate",
    "sudo",
    "admin_mode",
)
_ANY_SCOPE = frozenset(SCOPES)


@router.get("/personal_access_tokens/self", scopes=_ANY_SCOPE)
def own_token(call: Call) -> Reply:
    """`GET /personal_access_tokens/self`: the token of this very call."""
    _ = call.user
    assert call.identity is not None
    return json_reply(token_json(call.identity.token))


@router.delete("/personal_access_tokens/self", scopes=_ANY_SCOPE)
def revoke_own_token(call: Call) -> Reply:
    """`DELETE /personal_access_tokens/self`."""
    _ = call.user
    assert call.identity is not None
    return _revoke(call, call.identity.token)


@router.get("/personal_access_tokens")
def list_tokens(call: Call) -> Reply:
    """`GET /personal_access_tokens`: the caller's; an administrator may ask for another's by `user_id`."""
    user_id = call.params.integer("user_id") or call.user.id
    if user_id != call.user.id and not call.user.is_admin:
        raise with_message(401, "401 Unauthorized")
    with call.services.database.reading() as connection:
        found = [one for one in tokens_of(connection, user_id) if not one.impersonation]
    page, headers = page_of(call, found)
    return list_reply([token_json(one) for one in page], headers)


@router.get("/personal_access_tokens/:token_id")
def get_token(call: Call) -> Reply:
    """`GET /personal_access_tokens/:id`."""
    return json_reply(token_json(_own_or_any(call)))


@router.delete("/personal_access_tokens/:token_id")
def delete_token(call: Call) -> Reply:
    """`DELETE /personal_access_tokens/:id`: revoke it."""
    return _revoke(call, _own_or_any(call))


@router.post("/users/:id/personal_access_tokens")
def create_personal_token(call: Call) -> Reply:
    """`POST /users/:id/personal_access_tokens`, by an administrator; the answer alone carries the token's text.

    An `expires_at` in the past is taken, so that tests can have an expired token.
    """
    return _create(call, impersonation=False)


@router.post("/users/:id/impersonation_tokens")
def create_impersonation_token(call: Call) -> Reply:
    """`POST /users/:id/impersonation_tokens`, by an administrator."""
    return _create(call, impersonation=True)


@router.get("/users/:id/impersonation_tokens")
def list_impersonation_tokens(call: Call) -> Reply:
    """`GET /users/:id/impersonation_tokens`, by an administrator."""
    _ = call.admin
    with call.services.database.reading() as connection:
        user = _user(connection, call)
        found = [one for one in tokens_of(connection, user.id) if one.impersonation]
    page, headers = page_of(call, found)
    return list_reply([token_json(one) | {"impersonation": True} for one in page], headers)


@router.delete("/users/:id/impersonation_tokens/:token_id")
def delete_impersonation_token(call: Call) -> Reply:
    """`DELETE /users/:id/impersonation_tokens/:token_id`, by an administrator."""
    _ = call.admin
    with call.services.database.reading() as connection:
        token = token_by_id(connection, call.number("token_id"))
        user = _user(connection, call)
    if token is None or not token.impersonation or token.user_id != user.id:
        raise not_found("Impersonation Token")
    return _revoke(call, token)


@router.get("/projects/:id/access_tokens")
def list_project_tokens(call: Call) -> Reply:
    """`GET /projects/:id/access_tokens`."""
    project = call.project(Role.MAINTAINER).project
    with call.services.database.reading() as connection:
        shown = [_project_token_json(connection, one) for one in project_tokens(connection, project.id)]
    page, headers = page_of(call, shown)
    return list_reply(page, headers)


@router.post("/projects/:id/access_tokens")
def create_project_token(call: Call) -> Reply:
    """`POST /projects/:id/access_tokens`: a bot user of the project, Maintainer unless asked for less."""
    project = call.project(Role.MAINTAINER)
    call.params.require("name", "scopes")
    level = call.params.integer("access_level") or Role.MAINTAINER.value
    if level not in tuple(Role)[1:]:
        raise with_error("access_level does not have a valid value")
    if level > project.role:
        raise with_message(
            400, "Access level of the token can't be greater the access level of the user who created the token"
        )
    text = _new_text()
    with call.services.database.writing() as connection:
        username = f"project_{project.project.id}_bot_{secrets.token_hex(16)}"
        bot = add_user(
            connection,
            username=username,
            name=call.params.text("name"),
            email=f"{username}@noreply.localhost",
            is_bot=True,
        )
        set_member(connection, PROJECT, project.project.id, bot.id, level, None)
        token = add_token(
            connection,
            user_id=bot.id,
            text=text,
            name=call.params.text("name"),
            scopes=_scopes(call),
            expires_at=call.params.day("expires_at"),
            project_id=project.project.id,
        )
        shown = _project_token_json(connection, token)
    return created(shown | {"token": text})


@router.delete("/projects/:id/access_tokens/:token_id")
def delete_project_token(call: Call) -> Reply:
    """`DELETE /projects/:id/access_tokens/:token_id`."""
    project = call.project(Role.MAINTAINER).project
    with call.services.database.reading() as connection:
        token = token_by_id(connection, call.number("token_id"))
    if token is None or token.project_id != project.id:
        raise not_found("Project Access Token")
    return _revoke(call, token)


def _create(call: Call, *, impersonation: bool) -> Reply:
    _ = call.admin
    call.params.require("name", "scopes")
    text = _new_text()
    with call.services.database.writing() as connection:
        token = add_token(
            connection,
            user_id=_user(connection, call).id,
            text=text,
            name=call.params.text("name"),
            description=call.params.optional_text("description"),
            scopes=_scopes(call),
            expires_at=call.params.day("expires_at"),
            impersonation=impersonation,
        )
    shown = token_json(token) | {"token": text}
    return created(shown | {"impersonation": True} if impersonation else shown)


def _scopes(call: Call) -> tuple[str, ...]:
    scopes = call.params.texts("scopes")
    if not scopes:
        raise with_error("scopes is empty")
    if not set(scopes) <= set(SCOPES):
        raise with_error("scopes does not have a valid value")
    return scopes


def _new_text() -> str:
    return "glpat-" + secrets.token_urlsafe(20)


def _user(connection: sqlite3.Connection, call: Call) -> User:
    user = user_by_id(connection, call.number("id"))
    if user is None:
        raise not_found("User")
    return user


def _own_or_any(call: Call) -> Token:
    """The token of the path; somebody else's is hidden from all but administrators."""
    with call.services.database.reading() as connection:
        token = token_by_id(connection, call.number("token_id"))
    if token is None or (token.user_id != call.user.id and not call.user.is_admin):
        raise not_found() if call.user.is_admin else forbidden()
    return token


def _revoke(call: Call, token: Token) -> Reply:
    with call.services.database.writing() as connection:
        revoke_token(connection, token.id)
    return no_content()


def _project_token_json(connection: sqlite3.Connection, token: Token) -> dict[str, object]:
    membership = member(connection, PROJECT, token.project_id or 0, token.user_id)
    return token_json(token) | {
        "access_level": membership.access_level if membership else 0,
        "resource_type": "project",
        "resource_id": token.project_id,
    }

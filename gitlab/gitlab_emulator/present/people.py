"""Users, members, tokens, namespaces."""

import sqlite3
from collections.abc import Iterable

from gitlab_emulator.present import Json
from gitlab_emulator.store.records import Member, Namespace, Token, User
from gitlab_emulator.store.users import is_expired, user_by_id


def user_basic(user: User, base_url: str) -> Json:
    """The short form that other objects carry."""
    return {
        "id": user.id,
        "username": user.username,
        "public_email": "",
        "name": user.name,
        "state": user.state,
        "locked": False,
        "avatar_url": None,
        "web_url": f"{base_url}/{user.username}",
    }


def user_full(user: User, base_url: str, *, by_admin: bool) -> Json:
    """The form of `GET /user`, and what an administrator sees of others."""
    full: Json = user_basic(user, base_url) | {
        "created_at": user.created_at,
        "bio": "",
        "bot": user.is_bot,
        "email": user.email,
        "commit_email": user.email,
        "two_factor_enabled": False,
        "external": False,
        "private_profile": False,
        "can_create_project": True,
        "can_create_group": True,
        "projects_limit": 100_000,
        "identities": [],
    }
    return full | {"is_admin": user.is_admin} if by_admin else full


def someone(connection: sqlite3.Connection, user_id: int | None, base_url: str) -> Json | None:
    """The short form of a user by id."""
    user = user_by_id(connection, user_id)
    return user_basic(user, base_url) if user else None


def people(connection: sqlite3.Connection, user_ids: Iterable[int], base_url: str) -> list[Json]:
    """Short forms in the given order."""
    found = (user_by_id(connection, user_id) for user_id in user_ids)
    return [user_basic(user, base_url) for user in found if user]


def member_json(member: Member, user: User, base_url: str) -> Json:
    """A user with a role."""
    return user_basic(user, base_url) | {
        "access_level": member.access_level,
        "created_at": member.created_at,
        "expires_at": member.expires_at,
        "membership_state": "active",
    }


def token_json(token: Token) -> Json:
    """A token without its text."""
    return {
        "id": token.id,
        "name": token.name,
        "description": token.description,
        "revoked": token.revoked,
        "created_at": token.created_at,
        "scopes": list(token.scopes),
        "user_id": token.user_id,
        "last_used_at": token.last_used_at,
        "active": not token.revoked and not is_expired(token),
        "expires_at": token.expires_at,
    }


def namespace_json(namespace: Namespace, base_url: str) -> Json:
    """The form that projects carry."""
    address = namespace.full_path if namespace.kind == "user" else f"groups/{namespace.full_path}"
    return {
        "id": namespace.id,
        "name": namespace.name,
        "path": namespace.path,
        "kind": namespace.kind,
        "full_path": namespace.full_path,
        "parent_id": namespace.parent_id,
        "avatar_url": None,
        "web_url": f"{base_url}/{address}",
    }


def group_json(group: Namespace, full_name: str, base_url: str) -> Json:
    """A group of its own."""
    return {
        "id": group.id,
        "name": group.name,
        "path": group.path,
        "full_name": full_name,
        "full_path": group.full_path,
        "description": "",
        "visibility": group.visibility,
        "parent_id": group.parent_id,
        "created_at": group.created_at,
        "web_url": f"{base_url}/groups/{group.full_path}",
    }

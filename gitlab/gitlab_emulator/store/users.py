"""Users, their tokens, and namespaces."""

import hashlib
import sqlite3
from datetime import UTC, datetime

from gitlab_emulator.store.records import Namespace, Token, User, fetch, fetch_all, insert, update
from gitlab_emulator.times import timestamp


def digest(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def user_by_id(connection: sqlite3.Connection, user_id: int | None) -> User | None:
    """A user, None when there is none."""
    return None if user_id is None else fetch(connection, User, "SELECT * FROM users WHERE id = ?", user_id)


def user_by_name(connection: sqlite3.Connection, username: str) -> User | None:
    """A user by username, in any case of letters."""
    return fetch(connection, User, "SELECT * FROM users WHERE username = ?", username)


def all_users(connection: sqlite3.Connection) -> list[User]:
    """Everybody, newest first, as GitLab lists them."""
    return fetch_all(connection, User, "SELECT * FROM users ORDER BY id DESC")


def email_taken(connection: sqlite3.Connection, email: str) -> bool:
    """Whether an address belongs to somebody."""
    return fetch(connection, User, "SELECT * FROM users WHERE email = ?", email) is not None


def add_user(
    connection: sqlite3.Connection,
    *,
    username: str,
    name: str,
    email: str,
    is_admin: bool = False,
    is_bot: bool = False,
) -> User:
    """A user with a namespace of the same path."""
    now = timestamp()
    user_id = insert(
        connection,
        "users",
        username=username,
        name=name,
        email=email,
        is_admin=is_admin,
        is_bot=is_bot,
        created_at=now,
    )
    insert(
        connection,
        "namespaces",
        kind="user",
        name=name,
        path=username,
        full_path=username,
        owner_id=user_id,
        created_at=now,
    )
    user = user_by_id(connection, user_id)
    assert user is not None
    return user


def token_by_id(connection: sqlite3.Connection, token_id: int) -> Token | None:
    """A token by its number."""
    return fetch(connection, Token, "SELECT * FROM tokens WHERE id = ?", token_id)


def token_by_text(connection: sqlite3.Connection, text: str) -> Token | None:
    """A token by the text a caller presents."""
    return fetch(connection, Token, "SELECT * FROM tokens WHERE digest = ?", digest(text))


def tokens_of(connection: sqlite3.Connection, user_id: int) -> list[Token]:
    """All tokens of a user, newest first."""
    return fetch_all(connection, Token, "SELECT * FROM tokens WHERE user_id = ? ORDER BY id DESC", user_id)


def project_tokens(connection: sqlite3.Connection, project_id: int) -> list[Token]:
    """The access tokens of a project, newest first."""
    return fetch_all(connection, Token, "SELECT * FROM tokens WHERE project_id = ? ORDER BY id DESC", project_id)


def add_token(
    connection: sqlite3.Connection,
    *,
    user_id: int,
    text: str,
    name: str,
    scopes: tuple[str, ...],
    expires_at: str | None = None,
    description: str | None = None,
    impersonation: bool = False,
    project_id: int | None = None,
) -> Token:
    """A token whose text only the caller knows."""
    token_id = insert(
        connection,
        "tokens",
        user_id=user_id,
        name=name,
        description=description,
        digest=digest(text),
        scopes=scopes,
        impersonation=impersonation,
        project_id=project_id,
        expires_at=expires_at,
        created_at=timestamp(),
    )
    token = token_by_id(connection, token_id)
    assert token is not None
    return token


def revoke_token(connection: sqlite3.Connection, token_id: int) -> None:
    """The token stays listed, and opens nothing any more."""
    update(connection, "tokens", token_id, revoked=True)


def is_expired(token: Token) -> bool:
    """A token ends at the beginning of its day of expiry, UTC."""
    return token.expires_at is not None and token.expires_at <= datetime.now(UTC).date().isoformat()


def namespace_by_id(connection: sqlite3.Connection, namespace_id: int) -> Namespace | None:
    """A namespace by its number."""
    return fetch(connection, Namespace, "SELECT * FROM namespaces WHERE id = ?", namespace_id)


def namespace_by_path(connection: sqlite3.Connection, full_path: str) -> Namespace | None:
    """A namespace by its full path."""
    return fetch(connection, Namespace, "SELECT * FROM namespaces WHERE full_path = ?", full_path)


def all_namespaces(connection: sqlite3.Connection) -> list[Namespace]:
    """All of them, by number."""
    return fetch_all(connection, Namespace, "SELECT * FROM namespaces ORDER BY id")


def namespace_of_user(connection: sqlite3.Connection, user_id: int) -> Namespace:
    """A user's own namespace."""
    found = fetch(connection, Namespace, "SELECT * FROM namespaces WHERE kind = 'user' AND owner_id = ?", user_id)
    assert found is not None
    return found


def ancestors(connection: sqlite3.Connection, namespace_id: int) -> list[Namespace]:
    """A namespace and those above it, the nearest first."""
    chain: list[Namespace] = []
    current: int | None = namespace_id
    while current is not None:
        found = namespace_by_id(connection, current)
        if found is None:
            break
        chain.append(found)
        current = found.parent_id
    return chain


def add_group(
    connection: sqlite3.Connection, *, name: str, path: str, parent: Namespace | None, visibility: str
) -> Namespace:
    """A group, below another one or on top."""
    group_id = insert(
        connection,
        "namespaces",
        kind="group",
        name=name,
        path=path,
        full_path=f"{parent.full_path}/{path}" if parent else path,
        parent_id=parent.id if parent else None,
        visibility=visibility,
        created_at=timestamp(),
    )
    group = namespace_by_id(connection, group_id)
    assert group is not None
    return group

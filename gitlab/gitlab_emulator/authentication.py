"""Who is asking: tokens in the header, the query or as the password of Basic authentication."""

import base64
import binascii
import time
from collections.abc import Mapping

from gitlab_emulator.call import Identity, is_number
from gitlab_emulator.database import Database
from gitlab_emulator.errors import ApiError, forbidden, unauthorized, with_message
from gitlab_emulator.parameters import Parameters
from gitlab_emulator.store.records import User, update
from gitlab_emulator.store.users import is_expired, token_by_text, user_by_id, user_by_name
from gitlab_emulator.times import timestamp

_USE_IS_NOTED_EVERY_S = 600


class Authenticator:
    """Turns a request's credentials into an identity."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[int, float] = {}

    def of_request(self, headers: Mapping[str, str], params: Parameters) -> Identity | None:
        """The caller of a REST request, None for an anonymous one.

        Raises the 401 of a bad token and the 403 and 404 of a bad `sudo`.
        """
        if "job-token" in headers:
            raise unauthorized()
        text = _token_text(headers, params)
        if text is None:
            return None
        identity = self.of_token(text)
        sudo = headers.get("sudo") or params.optional_text("sudo")
        return self._as_other(identity, sudo) if sudo else identity

    def of_token(self, text: str) -> Identity:
        """The owner of a token; raises 401 when it is unknown, revoked or expired, or its owner is blocked."""
        with self._database.reading() as connection:
            token = token_by_text(connection, text)
            user = user_by_id(connection, token.user_id) if token else None
        if token is None or user is None or user.state != "active":
            raise unauthorized()
        if token.revoked:
            raise _invalid_token("Token was revoked. You have to re-authorize from the user.")
        if is_expired(token):
            raise _invalid_token("Token is expired. You can either do re-authorization or token refresh.")
        self._note_use(token.id)
        return Identity(user, token)

    def of_git(self, headers: Mapping[str, str]) -> Identity | None:
        """The caller of a git request (token as password, any username), None without credentials; raises 401."""
        kind, _, value = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.of_token(value.strip())
        if kind.lower() != "basic":
            return None
        try:
            _, _, password = base64.b64decode(value).decode("utf-8", "replace").partition(":")
        except (binascii.Error, ValueError):
            raise unauthorized() from None
        return self.of_token(password)

    def _as_other(self, identity: Identity, name: str) -> Identity:
        if not identity.user.is_admin:
            raise forbidden("Must be admin to use sudo")
        if "sudo" not in identity.token.scopes:
            raise forbidden("Must be authenticated using an OAuth or personal access token with sudo scope")
        with self._database.reading() as connection:
            other: User | None = user_by_name(connection, name)
            if other is None and is_number(name):
                other = user_by_id(connection, int(name))
        if other is None:
            raise with_message(404, f"404 User with ID or username '{name}' Not Found")
        return Identity(other, identity.token)

    def _note_use(self, token_id: int) -> None:
        now = time.monotonic()
        if now - self._noted.get(token_id, -_USE_IS_NOTED_EVERY_S) < _USE_IS_NOTED_EVERY_S:
            return
        # A read must not wait behind a write for this: the next use notes it.
        with self._database.writing_if_free() as connection:
            if connection is not None:
                update(connection, "tokens", token_id, last_used_at=timestamp())
                self._noted[token_id] = now


def check_scope(identity: Identity | None, method: str, also: frozenset[str]) -> None:
    """403 when the token's scopes do not open a route; `api` opens all, `read_api` all reads."""
    if identity is None:
        return
    reading = method in ("GET", "HEAD")
    enough = {"api", *also} | ({"read_api"} if reading else set())
    if not enough & set(identity.token.scopes):
        raise ApiError(
            403,
            {
                "error": "insufficient_scope",
                "error_description": "The request requires higher privileges than provided by the access token.",
                "scope": "api read_api" if reading else "api",
            },
        )


def _token_text(headers: Mapping[str, str], params: Parameters) -> str | None:
    kind, _, bearer = headers.get("authorization", "").partition(" ")
    candidates = (
        headers.get("private-token"),
        bearer.strip() if kind.lower() == "bearer" else None,
        params.optional_text("private_token"),
        params.optional_text("access_token"),
    )
    return next((text for text in candidates if text), None)


def _invalid_token(description: str) -> ApiError:
    return ApiError(401, {"error": "invalid_token", "error_description": description})

"""Credentials as requests carry them: in a header, or in the first message of a websocket."""

import re
from collections.abc import Mapping

from app.auth import Authenticator, UnauthenticatedError
from sagas.errors import SagaError
from sagas.ports import User

_BEARER = re.compile(r"Bearer +(\S+) *", re.IGNORECASE)


def bearer_token(header: str | None) -> str | None:
    """The token of an `Authorization` header; None without the header.

    Raises UnauthenticatedError for a header of another scheme.
    """
    if header is None or not header.strip():
        return None
    found = _BEARER.fullmatch(header.strip())
    if found is None:
        raise UnauthenticatedError("The header `Authorization` must be `Bearer <token>`.")
    return found.group(1)


def token_of_init(payload: Mapping[str, object]) -> str | None:
    """The header that the payload of `connection_init` stands for; a bare `token` counts as a bearer token.

    Raises UnauthenticatedError where it is not text.
    """
    for key, prefix in (("Authorization", ""), ("authorization", ""), ("token", "Bearer ")):
        value = payload.get(key)
        if value is None:
            continue
        if not isinstance(value, str):
            raise UnauthenticatedError(f"`{key}` in the payload of connection_init must be text.")
        return prefix + value
    return None


async def identify(authenticator: Authenticator, header: str | None) -> User | SagaError:
    """Who asks, or why that cannot be said: whoever needs to know raises it, so that the rest is still answered."""
    try:
        return await authenticator.authenticate(bearer_token(header))
    except SagaError as unknown:
        return unknown


def language_of(accept_language: str | None) -> str:
    """`ru` where the client's first choice is Russian, else `en`."""
    return "ru" if (accept_language or "").strip().lower().startswith("ru") else "en"

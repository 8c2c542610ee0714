"""Credentials as requests carry them: in a header, or in the first message of a websocket."""

import re
from collections.abc import Mapping

from app.auth import Authenticator, UnauthenticatedError
from sagas.errors import SagaError
from sagas.ports import User
from sagas.texts import LANGUAGES, Language, say

_WEIGHT = re.compile(r"q *= *([01](?:\.\d{0,3})?)", re.IGNORECASE)
_BEARER = re.compile(r"Bearer +(\S+) *", re.IGNORECASE)


def bearer_token(header: str | None) -> str | None:
    """The token of an `Authorization` header; None without the header.

    Raises UnauthenticatedError for a header of another scheme.
    """
    if header is None or not header.strip():
        return None
    found = _BEARER.fullmatch(header.strip())
    if found is None:
        raise UnauthenticatedError(say("The header `Authorization` must be `Bearer <token>`."))
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
            raise UnauthenticatedError(say("`{key}` in the payload of connection_init must be text.", key=key))
        return prefix + value
    return None


async def identify(authenticator: Authenticator, header: str | None) -> User | SagaError:
    """Who asks, or why that cannot be said: whoever needs to know raises it, so that the rest is still answered."""
    try:
        return await authenticator.authenticate(bearer_token(header))
    except SagaError as unknown:
        return unknown


def language_of(accept_language: str | None) -> Language:
    """The one of our languages that the client likes best, as the header `Accept-Language` says; English without it."""
    weights: dict[Language, float] = {}
    for part in (accept_language or "")[:1000].split(","):
        name, _, parameters = part.strip().partition(";")
        for language in LANGUAGES:
            if name.lower() == language or name.lower().startswith(f"{language}-"):
                weights[language] = max(weights.get(language, 0.0), _weight(parameters))
    return max(LANGUAGES, key=lambda language: weights.get(language, 0.0))


def language_of_init(payload: Mapping[str, object]) -> Language | None:
    """The language that the payload of `connection_init` asks for, as `Accept-Language`; None where it does not."""
    for key in ("Accept-Language", "acceptLanguage", "language"):
        value = payload.get(key)
        if isinstance(value, str):
            return language_of(value)
    return None


def _weight(parameters: str) -> float:
    found = _WEIGHT.fullmatch(parameters.strip())
    return float(found.group(1)) if found else 1.0

"""Who is asking: a GitLab token, a token of the gateway, or the demo's one user."""

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jwt
from jwt.exceptions import PyJWKClientConnectionError, PyJWTError

from app.cache import AnswerCache
from app.key_set import KeySet
from gitlab_facade import TokenRefusedError
from sagas.errors import RetryableError, SagaError
from sagas.ports import User
from sagas.texts import say

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""What a gateway may sign with: public keys only, so that whoever can verify a token cannot make one."""

_REMEMBERED = 10_000
_WAITING = 100
_CLOCK_SKEW = 30
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")


class UnauthenticatedError(SagaError):
    """Nobody we know is asking; the message tells what to send."""

    def __init__(self, message: str) -> None:
        super().__init__("UNAUTHENTICATED", message)


class Authenticator(Protocol):
    """Tells the user behind a token."""

    async def authenticate(self, token: str | None) -> User:
        """The user; `token` is what follows `Bearer`, None without one.

        Raises UnauthenticatedError for a token that is missing or not accepted, RetryableError where it cannot be
        checked at the moment.
        """


class UserSource(Protocol):
    """Where users come from: the GitLab facade."""

    async def current_user(self, token: str) -> User:
        """The user whose token this is; raises TokenRefusedError."""

    async def user(self, ref: int | str) -> User | None:
        """A user by id or username."""


class GitLabAuthenticator:
    """Takes GitLab's own tokens (personal, project, OAuth) and asks GitLab whose they are, once per `ttl` seconds.

    Whoever makes tokens up makes us ask: only `at_once` unknown ones are asked about at the same moment and `_WAITING`
    may wait for it, so that neither GitLab nor those who are known have to suffer. A refused one is not asked about again.
    """

    def __init__(self, gitlab: UserSource, *, ttl: float = 60, at_once: int = 4) -> None:
        self._gitlab = gitlab
        self._users: AnswerCache[bytes, User] = AnswerCache(ttl=ttl, size=_REMEMBERED)
        self._refused: AnswerCache[bytes, str] = AnswerCache(ttl=ttl, size=_REMEMBERED)
        self._room = asyncio.Semaphore(at_once)
        self._waiting = 0

    async def authenticate(self, token: str | None) -> User:
        """The user whose token this is."""
        given = _present(token, say("a GitLab personal or OAuth access token"))
        # The digest is the key: nobody who reads this process's memory finds tokens in the cache.
        digest = hashlib.sha256(given.encode()).digest()
        refusal = self._refused.known(digest)
        if refusal is not None:
            raise UnauthenticatedError(refusal)
        try:
            return await self._users.get(digest, lambda: self._ask(digest, given))
        except TokenRefusedError as error:
            raise UnauthenticatedError(error.message) from error

    def forget(self) -> None:
        """Ask GitLab anew from now on."""
        self._users.forget()
        self._refused.forget()

    async def _ask(self, digest: bytes, token: str) -> User:
        if self._users.has_known(digest):
            return await self._gitlab.current_user(token)
        if self._waiting >= _WAITING:
            raise RetryableError(
                "GITLAB_UNAVAILABLE", say("Too many unknown tokens are being checked; try again in a moment.")
            )
        self._waiting += 1
        try:
            async with self._room:
                return await self._gitlab.current_user(token)
        except TokenRefusedError as refused:
            self._refused.keep(digest, refused.message)
            raise
        finally:
            self._waiting -= 1


class JwtAuthenticator:
    """Takes the gateway's tokens: signed by a key of its key set, for this audience, with GitLab's user id in a claim."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        jwks_url: str,
        user_id_claim: str = "sub",
        *,
        algorithms: Sequence[str] = ALGORITHMS,
        users: UserSource | None = None,
        ttl: float = 60,
    ) -> None:
        """`users`: where the user's name comes from and whether he exists at all; without it the token's claims tell."""
        if foreign := sorted(set(algorithms) - set(ALGORITHMS)):
            raise ValueError(f"{', '.join(foreign)}: only algorithms with a public key are allowed")
        self._issuer, self._audience, self._claim = issuer, audience, user_id_claim
        self._algorithms = list(algorithms)
        self._keys = KeySet(jwks_url)
        self._users = users
        self._known: AnswerCache[int, User | None] = AnswerCache(ttl=ttl, size=_REMEMBERED)

    async def authenticate(self, token: str | None) -> User:
        """The user whom the token's claim names."""
        given = _present(token, say("the gateway's token"))
        claims = await asyncio.to_thread(self._verified, given)
        return await self._user(claims)

    def _verified(self, token: str) -> Mapping[str, Any]:
        try:
            key = self._keys.get_signing_key_from_jwt(token)
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=_CLOCK_SKEW,
                options={"require": ["exp", "iss", "aud", self._claim]},
            )
        except PyJWKClientConnectionError as error:
            raise RetryableError(
                "IDENTITY_PROVIDER_UNAVAILABLE",
                say("The gateway's keys cannot be read: {error}", error=str(error)),
                outage=True,
            ) from error
        except PyJWTError as error:
            # It may quote the token's key id, and half of a surrogate pair in there fits into no answer.
            quoted = str(error).encode("utf-8", "backslashreplace").decode()
            raise UnauthenticatedError(say("The token is not accepted: {error}", error=quoted)) from error
        except (ValueError, OverflowError, RecursionError) as error:
            # What the token holds is read before its signature is: nesting and numbers are anybody's.
            raise UnauthenticatedError(say("The token is not accepted: it cannot be read.")) from error
        return claims

    async def _user(self, claims: Mapping[str, Any]) -> User:
        number = _user_id(claims[self._claim], self._claim)
        source = self._users
        if source is None:
            return _from_claims(number, claims)
        user = await self._known.get(number, lambda: source.user(number))
        if user is None:
            raise UnauthenticatedError(
                say(
                    "GitLab has no active user with the id {number} of the token's claim {claim!r}.",
                    number=number,
                    claim=self._claim,
                )
            )
        return user


class DemoAuthenticator:
    """Everybody is this one user; for the demo, where everything is on this machine."""

    def __init__(self, user: User) -> None:
        self._user = user

    async def authenticate(self, token: str | None) -> User:
        """The demo's user, whatever was sent."""
        return self._user


def _present(token: str | None, what: str) -> str:
    if token is None or not token.strip():
        raise UnauthenticatedError(say("Send {what} as `Authorization: Bearer <token>`.", what=what))
    given = token.strip()
    if not _TOKEN.fullmatch(given):
        raise UnauthenticatedError(say("The token must be {what}: printable ASCII without spaces.", what=what))
    return given


def _user_id(value: object, claim: str) -> int:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text):
        raise UnauthenticatedError(say("The token's claim {claim!r} must be GitLab's numeric user id.", claim=claim))
    return int(text)


def _from_claims(number: int, claims: Mapping[str, Any]) -> User:
    username = _text(claims, "preferred_username") or _text(claims, "nickname") or f"user-{number}"
    verified = claims.get("email_verified", True) is True
    return User(number, username, _text(claims, "name"), _text(claims, "email") if verified else None)


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) and value else None

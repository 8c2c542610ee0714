"""The demo's one user, looked up in GitLab by name when first asked for: GitLab may start after the API."""

from app.auth import UnauthenticatedError, UserSource
from app.cache import AnswerCache
from sagas.ports import User
from sagas.texts import say

_TTL_S = 3600.0


class DemoUserByName:
    """An Authenticator for which everybody is the user with this GitLab username."""

    def __init__(self, gitlab: UserSource, username: str) -> None:
        self._gitlab = gitlab
        self._username = username
        self._known: AnswerCache[str, User | None] = AnswerCache(ttl=_TTL_S, size=1)

    async def authenticate(self, token: str | None) -> User:
        """The demo's user, whatever was sent.

        Raises UnauthenticatedError where GitLab has no such user, RetryableError while GitLab is away.
        """
        del token
        user = await self._known.get(self._username, lambda: self._gitlab.user(self._username))
        if user is None:
            self._known.forget()
            raise UnauthenticatedError(
                say(
                    "GitLab has no user {username!r}: set ORCHESTRATOR_DEMO_USER to one it has.",
                    username=self._username,
                )
            )
        return user

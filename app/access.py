"""Who may do what: GitLab's roles, remembered for a minute."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from app.cache import AnswerCache
from sagas.ids import ProjectId
from sagas.ports import AccessLevel, Rights, User

_REMEMBERED = 10_000


class RoleSource(Protocol):
    """Where roles come from: the GitLab facade."""

    async def rights(self, project: ProjectId, user_id: int, *, external: bool = False) -> Rights:
        """The user's role in the project, inherited ones included, and what it lets him read."""


class GitLabAccess:
    """The Access port over GitLab, asked with the service's token; an answer holds for `ttl` seconds."""

    def __init__(self, gitlab: RoleSource, *, ttl: float = 60) -> None:
        self._gitlab = gitlab
        self._rights: AnswerCache[tuple[int, bool, ProjectId], Rights] = AnswerCache(ttl=ttl, size=_REMEMBERED)

    async def level(self, user: User, project: ProjectId) -> AccessLevel:
        """The user's role in the project; GUEST also for whoever may read a public or internal one without a role."""
        return (await self.rights(user, project)).level

    async def rights(self, user: User, project: ProjectId) -> Rights:
        """The role, and what of the project the user may read."""
        return await self._rights.get(
            (user.id, user.external, project),
            lambda: self._gitlab.rights(project, user.id, external=user.external),
        )

    async def readable(self, user: User, projects: Sequence[ProjectId]) -> frozenset[ProjectId]:
        """Those whose code the user may read; unknown answers are asked for at the same time."""
        distinct = tuple(dict.fromkeys(projects))
        answers = await asyncio.gather(*(self.rights(user, project) for project in distinct))
        return frozenset(project for project, rights in zip(distinct, answers, strict=True) if rights.code)

    def forget(self) -> None:
        """Ask GitLab anew from now on."""
        self._rights.forget()

"""Who may do what: GitLab's roles, remembered for a minute."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from app.cache import AnswerCache
from sagas.ids import ProjectId
from sagas.ports import AccessLevel, User

_REMEMBERED = 10_000


class RoleSource(Protocol):
    """Where roles come from: the GitLab facade."""

    async def access_level(self, project: ProjectId, user_id: int) -> AccessLevel:
        """The user's role in the project, inherited ones included."""


class GitLabAccess:
    """The Access port over GitLab, asked with the service's token; an answer holds for `ttl` seconds."""

    def __init__(self, gitlab: RoleSource, *, ttl: float = 60) -> None:
        self._gitlab = gitlab
        self._levels: AnswerCache[tuple[int, ProjectId], AccessLevel] = AnswerCache(ttl=ttl, size=_REMEMBERED)

    async def level(self, user: User, project: ProjectId) -> AccessLevel:
        """The user's role in the project; GUEST also for whoever may read a public or internal one without a role."""
        return await self._levels.get((user.id, project), lambda: self._gitlab.access_level(project, user.id))

    async def readable(self, user: User, projects: Sequence[ProjectId]) -> frozenset[ProjectId]:
        """Those of the projects that the user may read; unknown answers are asked for at the same time."""
        distinct = tuple(dict.fromkeys(projects))
        levels = await asyncio.gather(*(self.level(user, project) for project in distinct))
        return frozenset(project for project, level in zip(distinct, levels, strict=True) if level > AccessLevel.NONE)

    def forget(self) -> None:
        """Ask GitLab anew from now on."""
        self._levels.forget()

"""Roles as GitLab tells them, remembered per user and project."""

import asyncio
from dataclasses import replace

import pytest

from app.access import GitLabAccess
from sagas.errors import RetryableError
from sagas.ids import ProjectId
from sagas.ports import NO_RIGHTS, Access, AccessLevel, Rights, User
from tests.fakes import ENGINEER, WORKER

ONE, TWO, THREE = ProjectId(1), ProjectId(2), ProjectId(3)


class Roles:
    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.levels: dict[tuple[int, int], AccessLevel] = {}
        self.at_once = self.most_at_once = 0
        self.fault: Exception | None = None

    async def rights(self, project: ProjectId, user_id: int, *, external: bool = False) -> Rights:
        self.asked.append((user_id, project))
        if external:
            return NO_RIGHTS
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.fault is not None:
            raise self.fault
        level = self.levels.get((user_id, project))
        return NO_RIGHTS if level is None else Rights(level, code=level >= AccessLevel.REPORTER, issues=True)


def _access(roles: Roles, ttl: float = 60) -> Access:
    return GitLabAccess(roles, ttl=ttl)


async def test_a_role_is_asked_for_once_per_user_and_project() -> None:
    roles = Roles()
    roles.levels = {(ENGINEER.id, ONE): AccessLevel.DEVELOPER, (WORKER.id, ONE): AccessLevel.GUEST}
    access = _access(roles)
    for _ in range(3):
        assert await access.level(ENGINEER, ONE) is AccessLevel.DEVELOPER
        assert await access.level(User(WORKER.id, "renamed"), ONE) is AccessLevel.GUEST
    assert len(roles.asked) == 2


async def test_readable_asks_for_distinct_projects_at_the_same_time() -> None:
    roles = Roles()
    roles.levels = {
        (ENGINEER.id, ONE): AccessLevel.REPORTER,
        (ENGINEER.id, TWO): AccessLevel.GUEST,
        (ENGINEER.id, THREE): AccessLevel.OWNER,
    }
    assert await _access(roles).readable(ENGINEER, [ONE, TWO, THREE, ONE]) == {ONE, THREE}
    assert (len(roles.asked), roles.most_at_once) == (3, 3)


async def test_a_change_is_seen_when_the_answer_is_old_or_forgotten() -> None:
    roles = Roles()
    access = GitLabAccess(roles, ttl=60)
    assert await access.level(ENGINEER, ONE) is AccessLevel.NONE
    roles.levels[ENGINEER.id, ONE] = AccessLevel.MAINTAINER
    assert await access.level(ENGINEER, ONE) is AccessLevel.NONE
    access.forget()
    assert await access.level(ENGINEER, ONE) is AccessLevel.MAINTAINER


async def test_gitlab_being_away_is_told_and_never_taken_for_no_access() -> None:
    roles = Roles()
    roles.fault = RetryableError("GITLAB_UNAVAILABLE", "away")
    access = _access(roles)
    with pytest.raises(RetryableError):
        await access.readable(ENGINEER, [ONE, TWO])
    roles.fault = None
    roles.levels[ENGINEER.id, ONE] = AccessLevel.REPORTER
    assert await access.readable(ENGINEER, [ONE, TWO]) == {ONE}


async def test_an_external_user_is_asked_about_as_one_and_gets_nobody_elses_answer() -> None:
    roles = Roles()
    roles.levels[ENGINEER.id, ONE] = AccessLevel.REPORTER
    access = _access(roles)
    assert await access.readable(ENGINEER, [ONE]) == {ONE}
    assert await access.readable(replace(ENGINEER, external=True), [ONE]) == frozenset()

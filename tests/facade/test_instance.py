"""Whose token, whose role: GitLab's answers about people."""

from datetime import date

import pytest

from gitlab_facade import GitLabFacade
from sagas.errors import RetryableError, TerminalError
from sagas.ids import ProjectId
from sagas.ports import AccessLevel, User
from tests.facade.scripted_server import Reply, ScriptedServer

P = ProjectId(12)
NO_MEMBER = Reply(404, {"message": "404 Not found"})


@pytest.mark.parametrize(
    ("number", "level"),
    [(50, AccessLevel.OWNER), (40, AccessLevel.MAINTAINER), (30, AccessLevel.DEVELOPER), (10, AccessLevel.GUEST),
     (5, AccessLevel.NONE), (25, AccessLevel.REPORTER), (60, AccessLevel.OWNER)],
)  # fmt: skip
async def test_a_members_role_is_the_highest_we_know_below_gitlabs_number(
    server: ScriptedServer, facade: GitLabFacade, number: int, level: AccessLevel
) -> None:
    server.will(Reply(200, {"id": 4, "access_level": number}))
    assert await facade.access_level(P, 4) is level
    assert server.asked() == ["GET /api/v4/projects/12/members/all/4"]


@pytest.mark.parametrize(
    ("visibility", "level"),
    [("public", AccessLevel.GUEST), ("internal", AccessLevel.GUEST), ("private", AccessLevel.NONE), (None, AccessLevel.NONE)],
)  # fmt: skip
async def test_a_stranger_is_a_guest_only_where_everybody_may_read(
    server: ScriptedServer, facade: GitLabFacade, visibility: str | None, level: AccessLevel
) -> None:
    server.will(NO_MEMBER, Reply(200, {"id": 12, "visibility": visibility}))
    assert await facade.access_level(P, 4) is level


async def test_a_project_that_is_gone_gives_nobody_access(server: ScriptedServer, facade: GitLabFacade) -> None:
    gone = Reply(404, {"message": "404 Project Not Found"})
    server.will(gone, NO_MEMBER, gone)
    assert await facade.access_level(P, 4) is AccessLevel.NONE
    assert await facade.access_level(P, 4) is AccessLevel.NONE


async def test_a_fault_is_never_taken_for_no_access(server: ScriptedServer, facade: GitLabFacade) -> None:
    server.will(Reply(500), NO_MEMBER, Reply(500), Reply(404, text="<html>no such page</html>"))
    for _ in range(2):
        with pytest.raises(RetryableError):
            await facade.access_level(P, 4)
    with pytest.raises(TerminalError):
        await facade.access_level(P, 4)


async def test_users_are_found_by_id_and_by_name(server: ScriptedServer, facade: GitLabFacade) -> None:
    ada = {"id": 4, "username": "ada", "name": "Ada", "avatar_url": None, "public_email": ""}
    server.will(Reply(200, ada), Reply(200, [ada]), Reply(404, {"message": "404 User Not Found"}), Reply(200, []))
    assert await facade.user(4) == User(4, "ada", "Ada")
    assert await facade.user("ada") == User(4, "ada", "Ada")
    assert await facade.user(5) is None
    assert await facade.user("nobody") is None


async def test_the_tokens_scopes_and_expiry_are_told(server: ScriptedServer, facade: GitLabFacade) -> None:
    token = {"id": 1, "name": "orchestrator", "scopes": ["api"], "active": True, "expires_at": "2031-12-31"}
    server.will(Reply(200, token), Reply(200, token | {"expires_at": None}))
    info = await facade.token_info()
    assert (info.name, info.scopes, info.active, info.expires_at) == (
        "orchestrator",
        ("api",),
        True,
        date(2031, 12, 31),
    )
    assert (await facade.token_info()).expires_at is None
    assert server.asked()[0] == "GET /api/v4/personal_access_tokens/self"


async def test_the_version_is_gitlabs_and_a_refused_token_an_outage(
    server: ScriptedServer, facade: GitLabFacade
) -> None:
    server.will(Reply(200, {"version": "19.3.0", "revision": "x"}), Reply(401, {"message": "401 Unauthorized"}))
    assert await facade.version() == "19.3.0"
    with pytest.raises(RetryableError) as caught:
        await facade.version()
    assert caught.value.outage


async def test_hooks_are_listed_made_and_removed(server: ScriptedServer, facade: GitLabFacade) -> None:
    hook = {"id": 3, "url": "http://o/webhooks/gitlab", "push_events": True, "alert_status": "disabled"}
    server.will(Reply(200, [hook]), Reply(201, hook), Reply(204), NO_MEMBER)
    (listed,) = await facade.hooks(P)
    assert (listed.id, listed.url, listed.push_events, listed.alert_status) == (3, hook["url"], True, "disabled")
    assert await facade.create_hook(P, listed.url, secret="s3cret", events=["push_events"]) == listed
    sent = server.requests[1].document
    assert isinstance(sent, dict)
    assert (sent["url"], sent["token"], sent["push_events"]) == (listed.url, "s3cret", True)
    for _ in range(2):
        await facade.delete_hook(P, 3)

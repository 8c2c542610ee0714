"""Whose token, whose role: GitLab's answers about people."""

from datetime import date

import pytest

from gitlab_facade import GitLabFacade, TokenRefusedError
from sagas.errors import RetryableError, TerminalError
from sagas.ids import ProjectId
from sagas.ports import NO_RIGHTS, AccessLevel, Rights, User
from tests.facade.scripted_server import Reply, ScriptedServer

P = ProjectId(12)
NO_MEMBER = Reply(404, {"message": "404 Not found"})


@pytest.mark.parametrize(
    ("number", "level"),
    [(50, AccessLevel.OWNER), (40, AccessLevel.MAINTAINER), (30, AccessLevel.DEVELOPER), (20, AccessLevel.REPORTER),
     (25, AccessLevel.REPORTER), (60, AccessLevel.OWNER)],
)  # fmt: skip
async def test_a_members_role_is_the_highest_we_know_below_gitlabs_number(
    server: ScriptedServer, facade: GitLabFacade, number: int, level: AccessLevel
) -> None:
    server.will(Reply(200, {"id": 4, "access_level": number}))
    assert await facade.rights(P, 4) == Rights(level, code=True, issues=True)
    assert server.asked() == ["GET /api/v4/projects/12/members/all/4"]


GUEST, PLANNER = AccessLevel.GUEST, AccessLevel.PLANNER


@pytest.mark.parametrize(
    ("member", "project", "rights"),
    [
        (None, {"visibility": "public"}, Rights(GUEST, code=True, issues=True)),
        (None, {"visibility": "internal"}, Rights(GUEST, code=True, issues=True)),
        (None, {"visibility": "private"}, NO_RIGHTS),
        (None, {}, NO_RIGHTS),
        (5, {"visibility": "private"}, NO_RIGHTS),
        (10, {"visibility": "private"}, Rights(GUEST, code=False, issues=True)),
        (15, {"visibility": "private"}, Rights(PLANNER, code=False, issues=True)),
        (10, {"visibility": "internal"}, Rights(GUEST, code=True, issues=True)),
        (10, {"visibility": "public", "repository_access_level": "private"}, Rights(GUEST, code=False, issues=True)),
        (10, {"visibility": "public", "issues_access_level": "private"}, Rights(GUEST, code=True, issues=True)),
        (None, {"visibility": "public", "issues_access_level": "private"}, Rights(GUEST, code=True, issues=False)),
        (None, {"visibility": "public", "repository_access_level": "private"}, Rights(GUEST, code=False, issues=True)),
        (
            None,
            {"visibility": "public", "merge_requests_access_level": "private"},
            Rights(GUEST, code=False, issues=True),
        ),
        (
            10,
            {"visibility": "public", "merge_requests_access_level": "private"},
            Rights(GUEST, code=False, issues=True),
        ),
        (10, {"visibility": "private", "issues_access_level": "disabled"}, Rights(GUEST, code=False, issues=False)),
    ],
)
async def test_below_reporter_the_project_says_what_may_be_read(
    server: ScriptedServer, facade: GitLabFacade, member: int | None, project: dict[str, str], rights: Rights
) -> None:
    server.will(NO_MEMBER if member is None else Reply(200, {"id": 4, "access_level": member}))
    server.will(Reply(200, {"id": 12, **project}))
    assert await facade.rights(P, 4) == rights


@pytest.mark.parametrize(
    ("member", "visibility", "rights"),
    [
        (None, "internal", NO_RIGHTS),
        (None, "public", Rights(GUEST, code=True, issues=True)),
        (10, "internal", Rights(GUEST, code=False, issues=True)),
    ],
)
async def test_to_an_external_user_an_internal_project_is_a_private_one(
    server: ScriptedServer, facade: GitLabFacade, member: int | None, visibility: str, rights: Rights
) -> None:
    server.will(
        Reply(200, {"id": 4, "username": "guest", "external": True}),
        Reply(200, {"scopes": ["api"]}),
        Reply(404, {"message": "404 Not found"}) if member is None else Reply(200, {"id": 4, "access_level": member}),
        Reply(200, {"id": P, "visibility": visibility}),
    )
    user = await facade.current_user("his-own")
    assert user.external
    assert await facade.rights(P, user.id, external=user.external) == rights


ADA: dict[str, object] = {"id": 4, "username": "ada", "name": "Ada"}


@pytest.mark.parametrize(
    ("scopes", "read_only"), [(["api"], False), (["read_user", "api"], False), (["read_api"], True)]
)
async def test_a_users_token_is_held_to_its_scopes(
    server: ScriptedServer, facade: GitLabFacade, scopes: list[str], read_only: bool
) -> None:
    server.will(Reply(200, ADA), Reply(200, {"id": 1, "scopes": scopes}))
    assert await facade.current_user("theirs") == User(4, "ada", "Ada", read_only=read_only)


@pytest.mark.parametrize("scopes", [[], ["read_user"], ["read_repository", "openid"]])
async def test_a_users_token_of_too_small_a_scope_is_refused(
    server: ScriptedServer, facade: GitLabFacade, scopes: list[str]
) -> None:
    server.will(Reply(200, ADA), Reply(200, {"id": 1, "scopes": scopes}))
    with pytest.raises(TokenRefusedError, match="read_api"):
        await facade.current_user("theirs")


async def test_an_oauth_token_tells_its_scopes_elsewhere(server: ScriptedServer, facade: GitLabFacade) -> None:
    server.will(Reply(200, ADA), Reply(401, {"message": "401 Unauthorized"}), Reply(200, {"scope": ["read_api"]}))
    assert (await facade.current_user("theirs")).read_only
    assert server.asked() == ["GET /api/v4/user", "GET /api/v4/personal_access_tokens/self", "GET /oauth/token/info"]
    for request in server.requests:
        headers = {name.lower(): value for name, value in request.headers.items()}
        assert headers["authorization"] == "Bearer theirs"
        assert "private-token" not in headers


async def test_a_token_revoked_between_two_questions_is_refused(server: ScriptedServer, facade: GitLabFacade) -> None:
    refused = Reply(401, {"error": "invalid_token", "error_description": "Token was revoked."})
    server.will(Reply(200, ADA), refused, refused)
    with pytest.raises(TokenRefusedError):
        await facade.current_user("theirs")


async def test_a_project_that_is_gone_gives_nobody_access(server: ScriptedServer, facade: GitLabFacade) -> None:
    gone = Reply(404, {"message": "404 Project Not Found"})
    server.will(gone, NO_MEMBER, gone)
    assert await facade.rights(P, 4) == NO_RIGHTS
    assert await facade.rights(P, 4) == NO_RIGHTS


async def test_a_fault_is_never_taken_for_no_access(server: ScriptedServer, facade: GitLabFacade) -> None:
    server.will(Reply(500), NO_MEMBER, Reply(500), Reply(404, text="<html>no such page</html>"))
    for _ in range(2):
        with pytest.raises(RetryableError):
            await facade.rights(P, 4)
    with pytest.raises(TerminalError):
        await facade.rights(P, 4)


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

"""Identity, roles and webhooks against a running server: the facade understands what GitLab really answers."""

from collections.abc import Iterator

import pytest

from gitlab_facade import GitLabFacade, TokenRefusedError
from gitlab_facade.webhook import WebhookForgedError, WebhookKind, WebhookVerifier
from sagas.errors import RetryableError
from sagas.ids import ProjectId
from sagas.ports import NO_RIGHTS, AccessLevel, Rights
from tests.contract.server_world import ServerWorld
from tests.facade.scripted_server import Reply, Request, ScriptedServer
from tests.support import eventually
from tests.support_emulator import Emulator


async def test_a_users_own_token_tells_who_he_is(server_world: ServerWorld, emulator: Emulator) -> None:
    pavel = emulator.create_user()
    user = await server_world.forge.current_user(pavel.token)
    assert (user.id, user.username, user.email) == (pavel.id, pavel.username, f"{pavel.username}@example.com")
    assert (await server_world.forge.service_user()).id == server_world.service.id
    for name in (pavel.id, pavel.username):
        found = await server_world.forge.user(name)
        assert found is not None
        assert found.id == pavel.id
    assert await server_world.forge.user(99_999_999) is None
    assert await server_world.forge.user("nobody-of-this-name") is None


async def test_whom_gitlab_has_blocked_is_nobody_here_either(server_world: ServerWorld, emulator: Emulator) -> None:
    person = emulator.create_user()
    emulator.api("POST", f"/users/{person.id}/block")
    for name in (person.id, person.username):
        assert await server_world.forge.user(name) is None
    with pytest.raises(TokenRefusedError):
        await server_world.forge.current_user(person.token)


async def test_tokens_that_are_unknown_or_too_old_are_refused(server_world: ServerWorld, emulator: Emulator) -> None:
    expired = emulator.create_token(server_world.engineer.id, expires_at="2001-01-01")
    for token in ("glpat-of-nobody", expired):
        with pytest.raises(TokenRefusedError) as caught:
            await server_world.forge.current_user(token)
        assert token not in str(caught.value)


async def test_roles_are_gitlabs_and_strangers_see_what_everybody_may(
    server_world: ServerWorld, emulator: Emulator
) -> None:
    stranger = emulator.create_user()
    private = server_world.add_project({"a": "b"})
    public = emulator.create_project(visibility="public", members={server_world.service.id: 30})
    guest = emulator.create_user()
    emulator.api("POST", f"/projects/{private.id}/members", {"user_id": guest.id, "access_level": 10})
    rights = server_world.forge.rights
    assert (await rights(private.id, server_world.engineer.id)).level is AccessLevel.MAINTAINER
    assert (await rights(private.id, server_world.service.id)).level is AccessLevel.DEVELOPER
    assert await rights(private.id, stranger.id) == NO_RIGHTS
    assert await rights(private.id, guest.id) == Rights(AccessLevel.GUEST, code=False, issues=True)
    assert await rights(ProjectId(public.id), stranger.id) == Rights(AccessLevel.GUEST, code=True, issues=True)
    assert await rights(ProjectId(99_999_999), stranger.id) == NO_RIGHTS


async def test_a_users_token_may_do_here_what_it_may_do_at_gitlab(
    server_world: ServerWorld, emulator: Emulator
) -> None:
    person = server_world.engineer.id
    for scopes, read_only in ((["api"], False), (["read_api"], True)):
        user = await server_world.forge.current_user(emulator.create_token(person, scopes=scopes))
        assert user.read_only is read_only
    with pytest.raises(TokenRefusedError):
        await server_world.forge.current_user(emulator.create_token(person, scopes=["read_user"]))


async def test_confidential_issues_are_told_apart(server_world: ServerWorld, emulator: Emulator) -> None:
    project = server_world.add_project({"a": "b"})
    made = emulator.api("POST", f"/projects/{project.id}/issues", {"title": "Secret", "confidential": True})
    issue = await server_world.forge.issue(project.id, made["iid"])
    assert issue is not None
    assert (issue.confidential, issue.author_id) == (True, made["author"]["id"])


async def test_the_doctor_learns_version_and_token(server_world: ServerWorld) -> None:
    assert len((await server_world.forge.version()).split(".")) >= 3
    info = await server_world.forge.token_info()
    assert (info.scopes, info.active) == (("api",), True)


async def test_a_service_token_of_too_small_a_scope_is_an_outage(server_world: ServerWorld, emulator: Emulator) -> None:
    project = server_world.add_project({"a": "b"})
    reading = GitLabFacade(emulator.url, emulator.create_token(server_world.service.id, scopes=["read_api"]))
    try:
        assert await reading.branch(project.id, "main") is not None
        with pytest.raises(RetryableError) as caught:
            await reading.create_branch(project.id, "x", ref="main")
        assert type(caught.value) is RetryableError
        assert caught.value.outage
    finally:
        await reading.aclose()


@pytest.fixture
def receiver() -> Iterator[ScriptedServer]:
    with ScriptedServer().running() as server:
        server.otherwise = lambda _: Reply(200, {})
        yield server


async def test_a_push_is_delivered_and_understood(
    server_world: ServerWorld, emulator: Emulator, receiver: ScriptedServer
) -> None:
    project = server_world.add_project({"balance_input.json": "{}\n"})
    emulator.api("PUT", f"/projects/{project.id}/members/{server_world.service.id}", {"access_level": 40})
    hook = await server_world.forge.create_hook(
        project.id, f"{receiver.url}/webhooks/gitlab", secret="s3cret", events=["push_events"]
    )
    assert [known.id for known in await server_world.forge.hooks(project.id)] == [hook.id]
    branch = await server_world.forge.create_branch(project.id, "issue/7-x", ref="main")

    def delivered(sha: str) -> Request | None:
        return next((request for request in receiver.requests if sha in request.body.decode()), None)

    made = server_world.write(project, "issue/7-x", "condenser_output.json", "{}\n")
    request = await eventually(lambda: delivered(made), what="the push's delivery")
    assert request is not None
    event = WebhookVerifier("s3cret").receive(request.headers, request.body)
    assert (event.kind, event.project_id, event.branch) == (WebhookKind.PUSH, project.id, "issue/7-x")
    assert (event.before, event.after) == (branch.head, made)
    with pytest.raises(WebhookForgedError):
        WebhookVerifier("another secret").receive(request.headers, request.body)
    await server_world.forge.delete_hook(project.id, hook.id)
    assert await server_world.forge.hooks(project.id) == ()

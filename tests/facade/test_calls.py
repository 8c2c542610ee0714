"""How calls travel: once, in time, each thread over its own connection, and nothing hidden by the driver."""

import asyncio
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from gitlab_facade import GitLabFacade, TokenRefusedError
from sagas.errors import RetryableError, TerminalError, UnknownOutcomeError
from sagas.ids import CommitSha, ProjectId
from sagas.ports import ChangeKind, FileChange, User
from tests.facade.scripted_server import Reply, ScriptedServer, refused_url
from tests.support import eventually

P = ProjectId(12)
CHANGE = FileChange(ChangeKind.CREATE, "condenser_input.json", "{}\n")
USER = {"id": 4, "username": "ada", "name": "Ada", "email": "ada@example.test", "commit_email": "bot@example.test"}
BRANCH = {"name": "main", "commit": {"id": "a" * 40}, "protected": False, "can_push": True, "web_url": "http://x"}
COMMIT = {
    "id": "b" * 40, "title": "Add input", "message": "Add input\n\nSaga-Id: 7", "web_url": "http://x",
    "author_name": "Ada", "author_email": "ada@example.test", "committer_email": "bot@example.test",
    "created_at": "2031-05-04T11:08:07.000+02:00", "parent_ids": [], "trailers": {},
}  # fmt: skip


async def _commit(facade: GitLabFacade, author: User | None = None) -> object:
    return await facade.create_commit(P, "issue/7", [CHANGE], message="Add input\n\nSaga-Id: 7", author=author)


async def test_a_redirect_elsewhere_takes_no_token_along(server: ScriptedServer, facade: GitLabFacade) -> None:
    with ScriptedServer().running() as elsewhere:
        elsewhere.otherwise = lambda _: Reply(200, USER)
        away = Reply(302, headers={"Location": f"http://localhost:{elsewhere.url.rpartition(':')[2]}/user"})
        for call in (facade.service_user(), facade.current_user("users-token")):
            server.replies.clear()
            server.will(away, Reply(401))
            with suppress(TokenRefusedError, TerminalError):
                await call
        assert len(elsewhere.requests) == 2
        for request in elsewhere.requests:
            assert "token" not in str(request.headers).lower()
    assert "service-token" in str(server.requests[0].headers)


@pytest.mark.parametrize("reply", [Reply(500), Reply(502, text="<html>"), Reply(hang_up=True)])
async def test_a_write_is_sent_once_and_its_loss_is_an_unknown_outcome(
    server: ScriptedServer, facade: GitLabFacade, reply: Reply
) -> None:
    server.will(reply)
    with pytest.raises(UnknownOutcomeError):
        await _commit(facade)
    assert server.asked() == ["POST /api/v4/projects/12/repository/commits"]


async def test_a_write_that_takes_too_long_is_an_unknown_outcome_and_is_not_repeated(
    server: ScriptedServer, impatient_facade: GitLabFacade
) -> None:
    answer = threading.Event()
    server.will(Reply(201, COMMIT, wait=answer))
    try:
        with pytest.raises(UnknownOutcomeError, match="timed out"):
            await _commit(impatient_facade)
    finally:
        answer.set()
    assert len(server.requests) == 1


async def test_a_slow_read_times_out_as_retryable_and_is_not_repeated(
    server: ScriptedServer, impatient_facade: GitLabFacade
) -> None:
    answer = threading.Event()
    server.will(Reply(200, BRANCH, wait=answer))
    try:
        with pytest.raises(RetryableError) as caught:
            await impatient_facade.branch(P, "main")
    finally:
        answer.set()
    assert type(caught.value) is RetryableError
    assert len(server.requests) == 1


async def test_nobody_listening_is_retryable_for_reads_and_writes() -> None:
    facade = GitLabFacade(refused_url(), "token", timeout=(1, 1))
    try:
        for call in (facade.branch(P, "main"), _commit(facade)):
            with pytest.raises(RetryableError) as caught:
                await call
            assert type(caught.value) is RetryableError
    finally:
        await facade.aclose()


async def test_a_read_over_a_dropped_connection_is_sent_again_once(
    server: ScriptedServer, facade: GitLabFacade
) -> None:
    server.will(Reply(hang_up=True), Reply(200, BRANCH))
    assert await facade.branch(P, "main")
    server.will(Reply(hang_up=True), Reply(hang_up=True), Reply(200, BRANCH))
    with pytest.raises(RetryableError):
        await facade.branch(P, "main")
    assert len(server.requests) == 4


async def test_a_throttle_is_told_at_once_with_its_wish(server: ScriptedServer) -> None:
    in_a_minute = datetime.now(UTC) + timedelta(seconds=60)
    wishes = [
        ({"Retry-After": "37"}, 37.0),
        ({"Retry-After": format_datetime(in_a_minute, usegmt=True)}, 60.0),
        ({"RateLimit-Reset": str(int(in_a_minute.timestamp()))}, 60.0),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ]
    for headers, expected in wishes:
        server.will(Reply(429, text="Retry later\n", headers=headers))
        # Each its own: GitLab's wish holds for whatever the same facade sends later.
        facade = GitLabFacade(server.url, "token", concurrency=1)
        with pytest.raises(RetryableError) as caught:
            await _commit(facade)
        await facade.aclose()
        assert type(caught.value) is RetryableError
        assert caught.value.retry_after == (expected and pytest.approx(expected, abs=3)), headers
    assert len(server.requests) == len(wishes), "the driver must not wait and try again behind our back"


async def test_an_earlier_wish_does_not_stick_to_a_later_error(server: ScriptedServer) -> None:
    facade = GitLabFacade(server.url, "token", concurrency=1)
    try:
        server.will(Reply(503, headers={"Retry-After": "99"}), Reply(503))
        for expected in (99, None):
            with pytest.raises(RetryableError) as caught:
                await facade.branch(P, "main")
            assert caught.value.retry_after == expected
    finally:
        await facade.aclose()


async def test_each_thread_has_one_connection_and_there_are_no_more_threads_than_said(
    server: ScriptedServer, facade: GitLabFacade
) -> None:
    gate = threading.Event()
    server.otherwise = lambda _: Reply(200, BRANCH, wait=gate)
    calls = [asyncio.create_task(facade.branch(P, "main")) for _ in range(6)]
    await eventually(lambda: len(server.requests) == 2)
    gate.set()
    await asyncio.gather(*calls)
    assert len({request.connection for request in server.requests}) == 2


async def test_a_cancelled_write_that_still_waits_for_a_thread_is_never_sent(
    server: ScriptedServer, facade: GitLabFacade
) -> None:
    gate = threading.Event()
    server.otherwise = lambda _: Reply(200, BRANCH, wait=gate)
    reads = [asyncio.create_task(facade.branch(P, "main")) for _ in range(2)]
    await eventually(lambda: len(server.requests) == 2)
    write = asyncio.create_task(_commit(facade))
    await asyncio.sleep(0)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    gate.set()
    await asyncio.gather(*reads)
    await facade.aclose()
    assert not any(request.method == "POST" for request in server.requests)


async def test_a_plain_403_that_holds_for_the_token_as_such_is_an_outage(
    server: ScriptedServer, facade: GitLabFacade
) -> None:
    blocked = Reply(403, {"message": "403 Forbidden - Your account has been blocked."})
    server.will(Reply(403, {"message": "403 Forbidden"}), blocked)
    with pytest.raises(RetryableError, match="blocked") as caught:
        await _commit(facade)
    assert caught.value.outage
    assert server.asked()[1:] == ["GET /api/v4/user"]


async def test_a_403_of_one_branch_is_the_sagas_own(server: ScriptedServer, facade: GitLabFacade) -> None:
    text = "403 Forbidden - You are not allowed to push into this branch"
    server.will(Reply(403, {"message": text}), Reply(200, USER))
    with pytest.raises(TerminalError, match="not allowed to push") as caught:
        await _commit(facade)
    assert caught.value.code == "GITLAB_REJECTED"


async def test_a_commit_names_its_author_and_reads_its_trailers_from_the_message(
    server: ScriptedServer, facade: GitLabFacade
) -> None:
    server.will(Reply(201, COMMIT), Reply(201, COMMIT))
    commit = await facade.create_commit(
        P, "issue/7", [CHANGE], message="Add input\n\nSaga-Id: 7", author=User(4, "ada", "Ада", "ada@example.test")
    )
    assert commit.trailers == {"Saga-Id": "7"}
    await _commit(facade, User(4, "ada"))
    sent = [request.document for request in server.requests]
    assert isinstance(sent[0], dict)
    assert isinstance(sent[1], dict)
    assert (sent[0]["author_name"], sent[0]["author_email"]) == ("Ада", "ada@example.test")
    assert (sent[1]["author_name"], sent[1]["author_email"]) == ("ada", "4-ada@users.noreply.127.0.0.1")
    assert sent[0]["actions"] == [{"action": "create", "file_path": "condenser_input.json", "content": "{}\n"}]


async def test_a_users_own_token_never_mixes_with_the_services(server: ScriptedServer, facade: GitLabFacade) -> None:
    cookie = {"Set-Cookie": "_gitlab_session=secret; Path=/"}
    token = Reply(200, {"id": 1, "scopes": ["api"]}, headers=cookie)
    server.will(Reply(200, USER, headers=cookie), token, Reply(200, BRANCH))
    assert (await facade.current_user("users-own")).username == "ada"
    await facade.branch(P, "main")
    *users, services = server.requests
    assert [request.path for request in users] == ["/api/v4/user", "/api/v4/personal_access_tokens/self"]
    for request in users:
        assert request.headers["Authorization"] == "Bearer users-own"
        assert "PRIVATE-TOKEN" not in request.headers
    assert services.headers["PRIVATE-TOKEN"] == "service-token"
    assert "Authorization" not in services.headers
    assert "Cookie" not in services.headers


async def test_a_users_refused_token_is_his_problem_and_no_outage(server: ScriptedServer, facade: GitLabFacade) -> None:
    server.will(Reply(401, {"error": "invalid_token", "error_description": "Token was revoked."}))
    with pytest.raises(TokenRefusedError):
        await facade.current_user("revoked")
    server.will(Reply(502, text="<html>"))
    with pytest.raises(RetryableError):
        await facade.current_user("good")


async def test_an_answer_of_another_shape_is_retryable_for_reads_and_unknown_for_writes(
    server: ScriptedServer, facade: GitLabFacade
) -> None:
    server.will(Reply(200, text="<html>Login</html>"), Reply(200, {"name": "main"}), Reply(201, {"id": 1}))
    for _ in range(2):
        with pytest.raises(RetryableError) as caught:
            await facade.branch(P, "main")
        assert type(caught.value) is RetryableError
    with pytest.raises(UnknownOutcomeError):
        await _commit(facade)


async def test_a_404_from_a_wrong_address_is_not_taken_for_a_missing_file(
    server: ScriptedServer, facade: GitLabFacade
) -> None:
    server.otherwise = lambda _: Reply(404, {"error": "404 Not Found"})
    with pytest.raises(TerminalError):
        await facade.get_file_content(P, "condenser_input.json", ref="main")


async def test_an_empty_history_of_an_unknown_base_is_searched_as_a_whole(
    server: ScriptedServer, facade: GitLabFacade
) -> None:
    """GitLab answers `[]` for a range whose base is gone; taking that for "no commit" would commit twice."""
    gone = Reply(404, {"message": "404 Commit Not Found"})
    mine = {**COMMIT, "trailers": {"Saga-Id": "7"}}
    server.will(Reply(200, USER), Reply(200, []), Reply(200, COMMIT), gone, Reply(200, [mine]))
    found = await facade.find_own_commit(
        P, branch="issue/7", since=CommitSha("c" * 40), path="a.json", trailers={"Saga-Id": "7"}
    )
    assert found is not None
    assert found.sha == COMMIT["id"]

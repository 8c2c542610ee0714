"""NF-ORCH-2: what GitLab asks of one call holds for every call of its token, in every process."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from app import throttle_news
from app.adapters.broadcast import open_broadcast
from gitlab_facade import GitLabFacade
from gitlab_facade.client import LONGEST_WISH_S
from gitlab_facade.throttle import LONGEST_S, Throttle
from sagas.errors import RetryableError
from sagas.ids import ProjectId
from tests.facade.scripted_server import Reply, ScriptedServer
from tests.support import eventually

P = ProjectId(12)
BRANCH = {"name": "main", "commit": {"id": "a" * 40}, "protected": False, "can_push": True, "web_url": "http://x"}
USER = {"id": 4, "username": "ada", "name": "Ada", "email": "ada@example.test", "commit_email": "bot@example.test"}


def quota(*, wait: int, remaining: int = 0) -> dict[str, str]:
    """The headers of GitLab's request throttle."""
    return {
        "RateLimit-Name": "throttle_authenticated_api",
        "RateLimit-Remaining": str(remaining),
        "RateLimit-Reset": str(int(time.time()) + wait),
        "Retry-After": str(wait),
    }


@pytest.fixture
async def facades(server: ScriptedServer, database_url: str) -> AsyncIterator[list[GitLabFacade]]:
    """Those of two processes on one database."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            facade = GitLabFacade(server.url, "service-token", concurrency=2)
            stack.push_async_callback(facade.aclose)
            broadcast = await stack.enter_async_context(open_broadcast(database_url))
            await stack.enter_async_context(throttle_news.shared(facade.throttle, broadcast))
            made.append(facade)
        server.otherwise = lambda _: Reply(200, BRANCH)
        yield made


async def held_back(facade: GitLabFacade) -> RetryableError:
    with pytest.raises(RetryableError) as caught:
        await facade.branch(P, "main")
    return caught.value


async def heard(facade: GitLabFacade) -> None:
    async def holds() -> bool:
        return facade.throttle.remaining_s() > 0

    await eventually(holds)


async def test_one_process_is_throttled_and_the_other_sends_nothing_until_the_time_has_passed(
    server: ScriptedServer, facades: list[GitLabFacade]
) -> None:
    told, other = facades
    await listening(facades)
    server.will(Reply(429, text="Retry later\n", headers=quota(wait=30)))
    assert (await held_back(told)).retry_after == pytest.approx(30, abs=2)
    await heard(other)
    for facade in facades:
        refusal = await held_back(facade)
        assert refusal.code == "GITLAB_UNAVAILABLE"
        assert refusal.retry_after == pytest.approx(30, abs=3)
        assert "asked to be left alone" in refusal.message
    assert len(server.requests) == 1


async def listening(facades: list[GitLabFacade]) -> None:
    """Until each hears the other: a first wish may come before anybody listens, and is a hint only."""
    for teller, hearer in (facades, reversed(facades)):

        async def passes(teller: GitLabFacade = teller, hearer: GitLabFacade = hearer) -> bool:
            assert teller.throttle.tell is not None
            teller.throttle.tell(0.01)
            return hearer.throttle.remaining_s() > 0 or hearer.throttle._until > 0

        await eventually(passes)


async def test_a_quota_that_is_used_up_is_respected_before_the_first_429(
    server: ScriptedServer, facades: list[GitLabFacade]
) -> None:
    told, _ = facades
    server.will(Reply(200, BRANCH, headers=quota(wait=40, remaining=0)))
    assert await told.branch(P, "main")
    assert (await held_back(told)).retry_after == pytest.approx(40, abs=2)
    assert len(server.requests) == 1


async def test_a_quota_with_something_left_holds_nobody_back(
    server: ScriptedServer, facades: list[GitLabFacade]
) -> None:
    server.will(Reply(200, BRANCH, headers=quota(wait=40, remaining=1)))
    for _ in range(2):
        assert await facades[0].branch(P, "main")


async def test_a_short_wish_is_waited_for(server: ScriptedServer, facades: list[GitLabFacade]) -> None:
    server.will(Reply(429, text="Retry later\n", headers=quota(wait=1)))
    await held_back(facades[0])
    assert await facades[0].branch(P, "main")
    assert len(server.requests) == 2


@pytest.mark.parametrize("headers", [{"Retry-After": "60"}, {}])
async def test_the_limit_of_one_endpoint_holds_for_it_alone(
    server: ScriptedServer, facades: list[GitLabFacade], headers: dict[str, str]
) -> None:
    server.will(Reply(429, {"message": "429 Too Many Requests"}, headers=headers))
    await held_back(facades[0])
    assert await facades[0].branch(P, "main")


async def test_a_users_own_token_has_a_quota_of_its_own(server: ScriptedServer, facades: list[GitLabFacade]) -> None:
    """Else one user who asks too much would stop everybody's sagas."""
    server.will(Reply(429, text="Retry later\n", headers=quota(wait=30)))
    with pytest.raises(RetryableError):
        await facades[0].current_user("a-users-token")
    assert await facades[0].branch(P, "main")


def test_no_header_keeps_gitlab_from_being_asked_for_ever() -> None:
    throttle = Throttle()
    throttle.heed(429, {"RateLimit-Reset": "9"}, 10.0**9)
    assert LONGEST_S - 1 < throttle.remaining_s() <= LONGEST_S


ABSURD = (
    {"Retry-After": "9" * 30},
    {"Retry-After": "9" * 5000},
    {"Retry-After": "1e308"},
    {"Retry-After": "-1"},
    {"Retry-After": "NaN"},
    {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"},
    {"Retry-After": "Mon, 01 Jan 99999999999 00:00:00 GMT"},
    {"Retry-After": "Mon, 01 Jan 2030 00:00:00 -99999999999999"},
    {"RateLimit-Reset": "9" * 400, "RateLimit-Remaining": "0"},
    {"RateLimit-Reset": "9" * 5000, "RateLimit-Remaining": "0"},
    {"RateLimit-Reset": "NaN", "RateLimit-Remaining": "0"},
)


@pytest.mark.parametrize("headers", ABSURD)
async def test_no_header_parks_a_saga_for_ever(server: ScriptedServer, headers: dict[str, str]) -> None:
    facade = GitLabFacade(server.url, "service-token", concurrency=1)
    server.will(Reply(429, text="Retry later\n", headers=headers))
    try:
        refusal = await held_back(facade)
    finally:
        await facade.aclose()
    assert refusal.code == "GITLAB_UNAVAILABLE"
    assert refusal.retry_after is None or 0 <= refusal.retry_after <= LONGEST_WISH_S
    assert facade.throttle.remaining_s() <= LONGEST_S


@pytest.mark.parametrize("headers", ABSURD)
async def test_no_header_spoils_an_answer(server: ScriptedServer, headers: dict[str, str]) -> None:
    """Least of all that of a write, which has happened."""
    facade = GitLabFacade(server.url, "service-token", concurrency=1)
    server.will(Reply(200, BRANCH, headers=headers))
    try:
        assert await facade.branch(P, "main")
    finally:
        await facade.aclose()

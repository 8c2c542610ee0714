"""Who is asking: every way in, and every way that must stay shut."""

import asyncio
from collections.abc import Iterator, Mapping

import pytest

from app.auth import DemoAuthenticator, GitLabAuthenticator, JwtAuthenticator, UnauthenticatedError
from gitlab_facade import TokenRefusedError
from sagas.errors import RetryableError
from sagas.ports import User
from tests.facade.scripted_server import ScriptedServer, refused_url
from tests.fakes import ENGINEER
from tests.identity import gateway
from tests.identity.gateway import AUDIENCE, FOREIGN_KEY, ISSUER, KEY
from tests.identity.gateway import token as new_token
from tests.support import eventually


class Users:
    """GitLab as the authenticators ask it."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.fault: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def current_user(self, token: str) -> User:
        self.asked.append(token)
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        if token != "good-token":
            raise TokenRefusedError("GitLab does not accept this token: 401 Unauthorized")
        return ENGINEER

    async def user(self, ref: int | str) -> User | None:
        self.asked.append(ref)
        return ENGINEER if ref == ENGINEER.id else None


@pytest.fixture
def key_server() -> Iterator[ScriptedServer]:
    with gateway.key_server(gateway.published(KEY, "k1")) as server:
        yield server


async def test_a_gitlab_token_is_asked_about_once() -> None:
    users = Users()
    authenticator = GitLabAuthenticator(users)
    for _ in range(3):
        assert await authenticator.authenticate("good-token") == ENGINEER
    assert users.asked == ["good-token"]
    authenticator.forget()
    await authenticator.authenticate("good-token")
    assert len(users.asked) == 2


async def test_the_cache_holds_no_token() -> None:
    authenticator = GitLabAuthenticator(Users())
    await authenticator.authenticate("good-token")
    keys = list(authenticator._users._answers)
    assert keys
    assert not any(b"good-token" in key for key in keys)


@pytest.mark.parametrize("token", [None, "", "  ", "two words", "line\nbreak", "кириллица", "x" * 8193])
async def test_what_cannot_be_a_token_never_reaches_gitlab(token: str | None) -> None:
    users = Users()
    with pytest.raises(UnauthenticatedError, match="GitLab personal or OAuth"):
        await GitLabAuthenticator(users).authenticate(token)
    assert users.asked == []


async def test_a_refused_token_is_unauthenticated_and_gitlab_being_away_is_not() -> None:
    users = Users()
    authenticator = GitLabAuthenticator(users)
    with pytest.raises(UnauthenticatedError, match="401") as caught:
        await authenticator.authenticate("bad-token")
    assert "bad-token" not in str(caught.value)
    users.fault = RetryableError("GITLAB_UNAVAILABLE", "away")
    with pytest.raises(RetryableError):
        await authenticator.authenticate("good-token")


async def test_a_token_that_gitlab_refused_is_not_asked_about_again() -> None:
    users = Users()
    authenticator = GitLabAuthenticator(users)
    for _ in range(3):
        with pytest.raises(UnauthenticatedError, match="401"):
            await authenticator.authenticate("bad-token")
    assert users.asked == ["bad-token"]
    late = GitLabAuthenticator(users, ttl=0)
    for _ in range(2):
        with pytest.raises(UnauthenticatedError):
            await late.authenticate("bad-token")
    assert len(users.asked) == 3, "but not for ever: a blocked user may be let in again"


async def test_tokens_made_up_by_the_thousand_keep_nobody_out_who_is_known() -> None:
    users = Users()
    authenticator = GitLabAuthenticator(users, ttl=0, at_once=2)
    assert await authenticator.authenticate("good-token") == ENGINEER
    users.gate.clear()
    crowd = [asyncio.create_task(authenticator.authenticate(f"made-up-{number}")) for number in range(1000)]
    await eventually(lambda: sum(task.done() for task in crowd) == 900, what="those whom nobody has room for are told")
    assert len(users.asked) == 3, "two at once, beside the one who is known"
    known = asyncio.create_task(authenticator.authenticate("good-token"))
    await eventually(lambda: users.asked[-1] == "good-token", what="the known one does not wait behind them")
    users.gate.set()
    assert await known == ENGINEER
    ends = await asyncio.gather(*crowd, return_exceptions=True)
    assert {type(end) for end in ends} == {RetryableError, UnauthenticatedError}


async def test_the_gateways_token_names_the_user(key_server: ScriptedServer) -> None:
    token = new_token(name="Ada", email="ada@example.test")
    assert await gateway.gateway(key_server).authenticate(token) == User(2, "ada", "Ada", "ada@example.test")
    assert (await gateway.gateway(key_server).authenticate(new_token(email="x@y", email_verified=False))).email is None


async def test_the_keys_are_fetched_once(key_server: ScriptedServer) -> None:
    authenticator = gateway.gateway(key_server)
    for _ in range(3):
        await authenticator.authenticate(new_token())
    assert len(key_server.requests) == 1


async def test_gitlab_knows_the_users_name_better_than_the_token(key_server: ScriptedServer) -> None:
    users = Users()
    authenticator = gateway.gateway(key_server, users=users)
    assert await authenticator.authenticate(new_token(preferred_username="forged")) == ENGINEER
    await authenticator.authenticate(new_token())
    assert users.asked == [2]
    with pytest.raises(UnauthenticatedError, match="no active user with the id 99"):
        await authenticator.authenticate(new_token(sub="99"))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"exp": 1_000_000_000}, id="expired"),
        pytest.param({"exp": None}, id="never expires"),
        pytest.param({"iss": "https://elsewhere.example.test"}, id="other issuer"),
        pytest.param({"iss": None}, id="no issuer"),
        pytest.param({"aud": "another-service"}, id="other audience"),
        pytest.param({"aud": None}, id="no audience"),
        pytest.param({"nbf": 4_000_000_000}, id="not yet valid"),
        pytest.param({"sub": None}, id="no user"),
        pytest.param({"sub": "ada"}, id="a name instead of an id"),
        pytest.param({"sub": "-2"}, id="negative"),
        pytest.param({"sub": "0"}, id="zero"),
        pytest.param({"key": FOREIGN_KEY}, id="signed by somebody else"),
        pytest.param(
            {"key": "a shared secret that is long enough to be taken", "algorithm": "HS256"}, id="shared secret"
        ),
        pytest.param({"key": None, "algorithm": "none"}, id="unsigned"),
        pytest.param({"kid": "k2"}, id="unknown key"),
    ],
)
async def test_any_fault_of_the_gateways_token_keeps_the_door_shut(
    key_server: ScriptedServer, changes: Mapping[str, object]
) -> None:
    token = new_token(**changes)  # type: ignore[arg-type]  # keys and claims of every kind
    with pytest.raises(UnauthenticatedError):
        await gateway.gateway(key_server).authenticate(token)


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "e30.e30."])
async def test_nonsense_instead_of_a_token_is_unauthenticated(key_server: ScriptedServer, token: str) -> None:
    with pytest.raises(UnauthenticatedError):
        await gateway.gateway(key_server).authenticate(token)


async def test_keys_that_cannot_be_fetched_are_an_outage_and_not_the_users_fault() -> None:
    authenticator = JwtAuthenticator(ISSUER, AUDIENCE, f"{refused_url()}/keys", "sub")
    with pytest.raises(RetryableError) as caught:
        await authenticator.authenticate(new_token())
    assert caught.value.outage


def test_algorithms_with_a_shared_secret_cannot_be_configured() -> None:
    for algorithm in ("HS256", "none"):
        with pytest.raises(ValueError, match=algorithm):
            JwtAuthenticator(ISSUER, AUDIENCE, "http://127.0.0.1/keys", "sub", algorithms=["RS256", algorithm])


async def test_in_the_demo_everybody_is_the_one_user() -> None:
    assert await DemoAuthenticator(ENGINEER).authenticate(None) == ENGINEER
    assert await DemoAuthenticator(ENGINEER).authenticate("anything") == ENGINEER

"""Forged, confused and stale tokens of the gateway; keys that change, vanish or cannot be had."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from app import key_set
from app.auth import UnauthenticatedError
from sagas.errors import RetryableError
from tests.facade.scripted_server import Reply, ScriptedServer
from tests.identity import gateway as gw


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with gw.key_server(gw.published(gw.KEY, "k1")) as server:
        yield server


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        monkeypatch.setattr(time, "monotonic", lambda real=time.monotonic: real() + self.ahead)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The monotonic clock, which a test may move."""
    return Clock(monkeypatch)


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(gw.forged_with_public_key(), id="public key as a shared secret"),
        pytest.param(gw.forged_with_public_key("HS512"), id="and another hash"),
        pytest.param(gw.unsigned({"alg": "none"}, gw.claims()), id="alg none"),
        pytest.param(gw.unsigned({"alg": "None", "kid": "k1"}, gw.claims()), id="alg None"),
        pytest.param(
            gw.unsigned({"alg": "none", "kid": "k1"}, gw.claims()).rpartition(".")[0] + ".", id="no signature"
        ),
        pytest.param(gw.unsigned({"alg": "RS256", "kid": ["k1"]}, gw.claims()), id="a list as key id"),
        pytest.param(gw.unsigned({"alg": "RS256", "kid": {"a": 1}}, gw.claims()), id="an object as key id"),
        pytest.param(gw.unsigned({"alg": "RS256", "kid": "\ud800"}, gw.claims()), id="half a surrogate pair as key id"),
        pytest.param(gw.unsigned({"alg": ["RS256"], "kid": "k1"}, gw.claims()), id="a list as algorithm"),
        pytest.param(gw.unsigned({"alg": "RS256", "kid": "k1", "crit": ["b64"], "b64": False}, gw.claims()), id="crit"),
        pytest.param(gw.unsigned([], gw.claims()), id="header is a list"),
        pytest.param(gw.unsigned({"alg": "RS256", "kid": "k1"}, []), id="payload is a list"),
        pytest.param(gw.unsigned(b"[" * 2500, gw.claims()), id="deep header"),
        pytest.param(gw.unsigned({"alg": "RS256", "kid": "k1"}, b'{"a":' * 1000), id="deep payload"),
        pytest.param(gw.unsigned({"alg": "RS256", "kid": "k1"}, b"\xff\xfe"), id="payload is no text"),
        pytest.param(gw.unsigned({"alg": "RS256", "kid": "k1"}, b'{"exp": 1e999}'), id="endless expiry"),
    ],
)
async def test_a_forged_token_opens_nothing_and_breaks_nothing(server: ScriptedServer, forged: str) -> None:
    authenticator = gw.gateway(server)
    with pytest.raises(UnauthenticatedError) as caught:
        await authenticator.authenticate(forged)
    assert forged not in caught.value.message
    assert caught.value.message.encode(), "it fits into an answer"
    assert (await authenticator.authenticate(gw.token())).id == 2


@pytest.mark.parametrize("expiry", [1e300, -1, True, "soon", [1]])
async def test_even_a_signed_token_must_make_sense(server: ScriptedServer, expiry: Any) -> None:
    with pytest.raises(UnauthenticatedError):
        await gw.gateway(server).authenticate(gw.token(exp=expiry) if expiry != 1e300 else gw.token(exp=[expiry]))


async def test_a_token_cannot_bring_its_own_key_or_name_a_place_for_it(server: ScriptedServer) -> None:
    own = gw.published(gw.FOREIGN_KEY, "k1")
    with gw.key_server(own) as theirs:
        header = {"alg": "RS256", "kid": "k1", "jwk": own, "jku": f"{theirs.url}/keys", "x5u": f"{theirs.url}/c"}
        import jwt  # noqa: PLC0415 - only here is a header of one's own needed

        forged = jwt.encode(gw.claims(), gw.FOREIGN_KEY, algorithm="RS256", headers=header)
        with pytest.raises(UnauthenticatedError):
            await gw.gateway(server).authenticate(forged)
        assert theirs.requests == []


async def test_a_shared_secret_among_the_keys_is_no_key(server: ScriptedServer) -> None:
    secret = "a shared secret that is long enough to be taken"
    gw.publish(
        server, gw.published(gw.KEY, "k1"), {"kty": "oct", "kid": "s", "k": secret, "alg": "HS256", "use": "sig"}
    )
    with pytest.raises(UnauthenticatedError):
        await gw.gateway(server).authenticate(gw.token(secret, "HS256", "s"))


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({"exp": -20}, True),
        ({"exp": -40}, False),
        ({"nbf": 20}, True),
        ({"nbf": 40}, False),
        ({"iat": 20}, True),
        ({"iat": 40}, False),
    ],
)
async def test_clocks_may_differ_by_half_a_minute_and_no_more(
    server: ScriptedServer, changes: dict[str, int], accepted: bool
) -> None:
    (claim, seconds), *_ = changes.items()
    token = gw.token(gw.KEY, "RS256", "k1", **{claim: int(time.time()) + seconds})
    if accepted:
        assert (await gw.gateway(server).authenticate(token)).id == 2
        return
    with pytest.raises(UnauthenticatedError):
        await gw.gateway(server).authenticate(token)


async def test_one_of_several_audiences_is_enough(server: ScriptedServer) -> None:
    assert (await gw.gateway(server).authenticate(gw.token(aud=["other", gw.AUDIENCE]))).id == 2


async def test_a_rotated_key_is_found_and_guessing_key_ids_does_not_make_us_ask(
    server: ScriptedServer, clock: Clock
) -> None:
    authenticator = gw.gateway(server)
    await authenticator.authenticate(gw.token())
    gw.publish(server, gw.published(gw.KEY, "k1"), gw.published(gw.FOREIGN_KEY, "k2"))
    for number in range(50):
        with pytest.raises(UnauthenticatedError):
            await authenticator.authenticate(gw.token(kid=f"guess-{number}"))
    assert len(server.requests) == 1
    clock.ahead += key_set.COOLDOWN_S
    assert (await authenticator.authenticate(gw.token(gw.FOREIGN_KEY, kid="k2"))).id == 2
    assert (await authenticator.authenticate(gw.token())).id == 2
    assert len(server.requests) == 2


async def test_a_withdrawn_key_opens_nothing_any_more(server: ScriptedServer, clock: Clock) -> None:
    authenticator = gw.gateway(server)
    await authenticator.authenticate(gw.token())
    gw.publish(server, gw.published(gw.FOREIGN_KEY, "k2"))
    clock.ahead += key_set.LIFESPAN_S
    with pytest.raises(UnauthenticatedError):
        await authenticator.authenticate(gw.token())
    assert (await authenticator.authenticate(gw.token(gw.FOREIGN_KEY, kid="k2"))).id == 2


async def test_while_the_gateway_is_away_its_last_keys_count_for_a_while(server: ScriptedServer, clock: Clock) -> None:
    authenticator = gw.gateway(server)
    await authenticator.authenticate(gw.token())
    server.otherwise = lambda _: Reply(503)
    clock.ahead += key_set.LIFESPAN_S
    for _ in range(20):
        assert (await authenticator.authenticate(gw.token())).id == 2
    assert len(server.requests) == 2, "a gateway that is away is not asked for every request"
    with pytest.raises(UnauthenticatedError):
        await authenticator.authenticate(gw.token(gw.FOREIGN_KEY))
    clock.ahead += key_set.STALE_S
    with pytest.raises(RetryableError):
        await authenticator.authenticate(gw.token())


NONSENSE = (
    Reply(200, []),
    Reply(200, {"keys": []}),
    Reply(200, {"keys": {}}),
    Reply(200, {"keys": [gw.published(gw.KEY, "k1", use="enc")]}),
    Reply(200, text="<html>"),
    Reply(200, text="[" * 100_000),
    Reply(200, hang_up=True),
    Reply(500),
)


@pytest.mark.parametrize("reply", NONSENSE)
async def test_a_gateway_that_answers_nonsense_is_away_and_made_up_tokens_do_not_make_us_ask_it(
    server: ScriptedServer, reply: Reply
) -> None:
    server.otherwise = lambda _: reply
    authenticator = gw.gateway(server)
    for number in range(20):
        with pytest.raises(RetryableError):
            await authenticator.authenticate(gw.token(kid=f"guess-{number}"))
    assert len(server.requests) == 1


@pytest.mark.parametrize("reply", NONSENSE)
async def test_a_gateway_that_answers_nonsense_locks_nobody_out_whose_key_it_told_before(
    server: ScriptedServer, clock: Clock, reply: Reply
) -> None:
    authenticator = gw.gateway(server)
    await authenticator.authenticate(gw.token())
    server.otherwise = lambda _: reply
    clock.ahead += key_set.LIFESPAN_S
    for _ in range(20):
        assert (await authenticator.authenticate(gw.token())).id == 2
    assert len(server.requests) == 2

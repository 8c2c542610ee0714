"""What clients may take: over a limit they are told which, what is allowed and what they asked, and nothing runs."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from app.graphql_http import GRAPHQL_JSON, JSON
from schema.limits import Limits
from schema.rates import Rates
from tests.app.api import Api, saga_id, serving
from tests.app.listening import listening
from tests.support import eventually
from tests.world import COLLEAGUE, ENGINEER, World

VIEWER = "{ viewer { username } }"
RATE = "{ viewer { rateLimit { limit remaining resetAt cost } } }"
UPDATED = "subscription ($saga: ID!) { sagaUpdated(sagaId: $saga) { version } }"
START = (
    'mutation { startBalanceCalculation(input: {projectPath: "plant/unit", branch: "issue/1-test"}) '
    "{ created userErrors { code } } }"
)
HEADERS = {"Authorization": "Bearer irina", "Content-Type": JSON}
Serve = Callable[[Limits], AbstractAsyncContextManager[Api]]


@pytest.fixture
def serve(world: World) -> Serve:
    """The service under limits of the test's own."""
    return lambda limits: serving(world, engine=False, limits=limits)


def exceeded(answer: dict[str, Any]) -> tuple[str, float, float]:
    (error,) = answer["errors"]
    extensions = error["extensions"]
    assert extensions["code"] == "LIMIT_EXCEEDED"
    assert "data" not in answer or answer["data"] is None
    return extensions["limit"], extensions["allowed"], extensions["value"]


async def test_a_document_over_the_tokens_is_refused(serve: Serve) -> None:
    async with serve(Limits(tokens=100)) as api:
        for _ in range(2):  # the second time the document may be known already
            assert exceeded(await api.post("{ viewer { id " + "username " * 100 + "} }")) == ("tokens", 100, 101)


EACH = [
    (Limits(depth=5), "{ sagas { edges { node { events { edges { cursor } } } } } }", "depth", 6),
    (Limits(aliases=1), "{ a: viewer { id } b: viewer { id } }", "aliases", 2),
    (Limits(directives=0), "{ viewer @include(if: true) { id } }", "directives", 1),
    (Limits(operations=1), "query a { viewer { id } } query b { viewer { id } }", "operations", 2),
    (Limits(fragments=0), "{ viewer { ...f } } fragment f on Viewer { id }", "fragments", 1),
    (Limits(overlaps=2), "{ viewer { id id id } }", "overlaps", 3),
    (Limits(fields=2), "{ viewer { id username } }", "fields", 3),
]


async def test_the_settings_set_each_limit(serve: Serve) -> None:
    for given, document, limit, value in EACH:
        async with serve(given) as api:
            assert exceeded(await api.post(document)) == (limit, getattr(given, limit), value)


async def test_a_mutation_in_a_document_over_a_limit_does_not_run(serve: Serve) -> None:
    async with serve(Limits(depth=1)) as api:
        assert exceeded(await api.post(START))[0] == "depth"
        assert (await api.services.backend.queries.project_ids()) == []


async def test_cost_counts_the_pages_that_the_request_asks_for_not_the_largest(serve: Serve) -> None:
    query = "query ($n: Int = 3) { sagas(first: $n) { edges { node { id } } } }"
    async with serve(Limits(cost=50)) as api:
        # sagas + n × (edges + node + id)
        assert "errors" not in await api.post(query)
        assert "errors" not in await api.post(query, n=16)
        assert exceeded(await api.post(query, n=17)) == ("cost", 50, 52)
        assert exceeded(await api.post(query, n=10**9)) == ("cost", 50, 301)
        assert exceeded(await api.post("{ sagas { edges { node { id } } } }")) == ("cost", 50, 61)


async def test_what_asks_gitlab_costs_ten_times_as_much(serve: Serve) -> None:
    async with serve(Limits(cost=10)) as api:
        assert exceeded(await api.post("{ sagas(first: 1) { edges { node { mergeRequest { iid } } } } }"))[2] == 14


async def test_a_body_over_the_limit_is_413_and_a_graphql_error(serve: Serve) -> None:
    body = json.dumps({"query": VIEWER, "variables": {"x": "y" * 5000}})
    async with serve(Limits(body=2000)) as api:
        response = await api.http.post("/graphql", content=body, headers=HEADERS)
        assert response.status_code == 413
        assert exceeded(response.json()) == ("body", 2000, len(body))

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(10):
                yield b" " * 1000

        response = await api.http.post("/graphql", content=chunks(), headers=HEADERS)
        assert response.status_code == 413
        assert exceeded(response.json()) == ("body", 2000, 2001)


async def test_lists_nested_ten_thousand_deep_in_variables_are_refused(api: Api) -> None:
    deep = "[" * 10_000 + "]" * 10_000
    body = (
        f'{{"query": "query ($f: SagaFilter) {{ sagas(filter: $f) {{ totalCount }} }}", "variables": {{"f": {deep}}}}}'
    )
    response = await api.http.post("/graphql", content=body, headers=HEADERS)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_an_operation_over_the_deadline_is_ended(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(*_: Any, **__: Any) -> None:
        await asyncio.sleep(60)

    async with serve(Limits(deadline=timedelta(seconds=0.2))) as api:
        monkeypatch.setattr(api.services.backend.forge, "project", slow)
        query = '{ issue(projectPath: "plant/unit", iid: 1) { iid } }'
        assert exceeded(await api.post(query)) == ("deadline", 0.2, 0.2)
        for accept, status in ((GRAPHQL_JSON, 503), (JSON, 200)):
            response = await api.http.post("/graphql", json={"query": query}, headers=HEADERS | {"Accept": accept})
            assert response.status_code == status
        async with listening(api.app) as server, server.client() as peer:
            await peer.subscribe(query)
            assert (await peer.error())["limit"] == "deadline"
            await peer.subscribe(VIEWER)
            assert await peer.next() == {"viewer": {"username": "irina"}}


async def test_a_mutation_over_the_deadline_is_done_all_the_same_and_once(serve: Serve, database_url: str) -> None:
    async with serve(Limits(deadline=timedelta(seconds=1))) as api:
        queries = api.services.backend.queries
        holder = await asyncpg.connect(database_url)
        async with holder.transaction():
            # What the command would write waits for this lock, in the middle of its transaction.
            await holder.execute("LOCK TABLE saga_event IN EXCLUSIVE MODE")
            assert exceeded(await api.post(START))[0] == "deadline"
            assert await queries.project_ids() == []
        await holder.close()

        async def started() -> bool:
            return bool(await queries.project_ids())

        await eventually(started, what="the command goes on without its caller")
        assert (await api.ask(START))["startBalanceCalculation"] == {"created": False, "userErrors": []}


async def test_a_body_over_the_limit_is_refused_for_the_other_routes_too(serve: Serve) -> None:
    async with serve(Limits(body=2000)) as api:
        response = await api.http.post("/saga/calculate-balance", content=b" " * 2001, headers=HEADERS)
        assert (response.status_code, response.json()["code"]) == (413, "LIMIT_EXCEEDED")


async def test_the_rate_is_told_in_the_api_and_in_the_headers(serve: Serve) -> None:
    async with serve(Limits(rate=10)) as api:
        response = await api.http.post("/graphql", json={"query": RATE}, headers=HEADERS)
        rate = response.json()["data"]["viewer"]["rateLimit"]
        assert (rate["limit"], rate["remaining"], rate["cost"]) == (10, 9, 1)
        reset = datetime.fromisoformat(rate["resetAt"])
        assert datetime.now(UTC) < reset + timedelta(seconds=1)
        assert reset <= datetime.now(UTC) + timedelta(minutes=1)
        assert response.headers["ratelimit-limit"] == "10"
        assert response.headers["ratelimit-remaining"] == "9"
        assert 1 <= int(response.headers["ratelimit-reset"]) <= 60
        assert "retry-after" not in response.headers
        page = "{ viewer { rateLimit { cost remaining } } sagas(first: 100) { edges { node { id } } } }"
        rate = (await api.ask(page))["viewer"]["rateLimit"]
        assert (rate["cost"], rate["remaining"]) == (4, 5)


async def test_over_the_rate_nothing_runs_and_the_answer_says_when_to_come_again(serve: Serve) -> None:
    async with serve(Limits(rate=2)) as api:
        for _ in range(2):
            await api.ask(VIEWER)
        answer = await api.post(START)
        assert exceeded(answer) == ("rate", 2, 1)
        extensions = answer["errors"][0]["extensions"]
        assert extensions["remaining"] == 0
        assert 1 <= extensions["retryAfter"] <= 60
        for accept, status in ((GRAPHQL_JSON, 429), (JSON, 200)):
            response = await api.http.post("/graphql", json={"query": VIEWER}, headers=HEADERS | {"Accept": accept})
            assert response.status_code == status
            assert 1 <= int(response.headers["retry-after"]) <= 60
        assert await api.ask(VIEWER, token="pavel") == {"viewer": {"username": "pavel"}}
        assert (await api.services.backend.queries.project_ids()) == []


async def test_what_costs_more_than_is_left_takes_nothing_and_the_next_minute_gives_all_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = Rates(10)
    assert not (await rates.charge(ENGINEER, 8)).exceeded
    refused = await rates.charge(ENGINEER, 3)
    assert (refused.exceeded, refused.remaining) == (True, 2)
    assert not (await rates.charge(ENGINEER, 2)).exceeded
    assert (await rates.charge(COLLEAGUE, 1)).remaining == 9
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert (await rates.charge(ENGINEER, 1)).remaining == 9


async def test_operations_at_once_on_a_connection_are_limited_and_the_others_go_on(serve: Serve, world: World) -> None:
    row = await world.start()
    async with serve(Limits(subscriptions_per_connection=2)) as api, listening(api.app) as server:
        async with server.client() as peer:
            for name in ("1", "2"):
                await peer.subscribe(UPDATED, name=name, saga=saga_id(row))
                assert (await peer.receive())["type"] == "next"
            await peer.subscribe(VIEWER, name="3")
            message = await peer.receive()
            assert (message["id"], message["type"]) == ("3", "error")
            extensions = message["payload"][0]["extensions"]
            assert (extensions["limit"], extensions["allowed"]) == ("subscriptionsPerConnection", 2)
            await peer.send({"type": "complete", "id": "1"})
            await eventually(lambda: len(api.feed.watches) == 1, what="the first subscription is gone")
            await peer.subscribe(VIEWER, name="4")
            assert (await peer.receive())["type"] == "next"


async def test_subscriptions_of_a_user_are_limited_over_all_connections_and_ended_ones_make_room(
    serve: Serve, world: World
) -> None:
    row = await world.start()
    async with serve(Limits(subscriptions_per_user=2)) as api, listening(api.app) as server:
        seats = api.services.backend.seats
        async with server.client() as one, server.client() as other, server.client("pavel") as colleague:
            for peer in (one, other):
                await peer.subscribe(UPDATED, saga=saga_id(row))
                assert (await peer.receive())["type"] == "next"
            await one.subscribe(UPDATED, name="more", saga=saga_id(row))
            refusal = await one.receive()
            assert refusal["type"] == "error"
            assert refusal["payload"][0]["extensions"]["limit"] == "subscriptionsPerUser"
            await colleague.subscribe(UPDATED, saga=saga_id(row))
            assert (await colleague.receive())["type"] == "next"
            assert (seats.taken(ENGINEER), seats.taken(COLLEAGUE)) == (2, 1)
            await other.send({"type": "complete", "id": "1"})
            await eventually(lambda: seats.taken(ENGINEER) == 1, what="the ended subscription makes room")
            await one.subscribe(UPDATED, name="again", saga=saga_id(row))
            assert (await one.receive())["type"] == "next"
        await eventually(lambda: seats.taken(ENGINEER) == 0, what="closed connections make room")


@pytest.mark.parametrize("field", ["sagaUpdated", "sagaEvents"])
async def test_a_subscription_whose_variables_are_long_is_not_kept(serve: Serve, world: World, field: str) -> None:
    row = await world.start()
    more: tuple[Any, ...] = ([[] for _ in range(70_000)], {"x": "y" * 70_000}, {"y" * 70_000: 1})
    query = f"subscription ($saga: ID!) {{ {field}(sagaId: $saga) {{ __typename }} }}"
    async with serve(Limits()) as api, listening(api.app) as server, server.client() as peer:
        for name, unused in enumerate(more):
            await peer.subscribe(query, name=str(name), saga=saga_id(row), unused=unused)
            assert (await peer.error(name=str(name)))["limit"] == "subscription"
        await peer.subscribe(query + "#" * 70_000, name="text", saga=saga_id(row))
        assert (await peer.error(name="text"))["limit"] == "subscription"
        accept = {"Accept": "text/event-stream", "Authorization": "Bearer irina"}
        asked = {"query": query, "variables": {"saga": saga_id(row), "unused": more[0]}}
        told = await api.http.post("/graphql", json=asked, headers=accept)
        assert '"subscription"' in told.text
        assert api.services.backend.seats.taken(ENGINEER) == 0
        await peer.subscribe(query, saga=saga_id(row), unused=["x"] * 1_000)
        assert (await peer.next())[field]


async def test_introspection_can_be_switched_off(serve: Serve) -> None:
    async with serve(Limits(introspection=False)) as api:
        for query in ("{ __schema { types { name } } }", '{ __type(name: "Saga") { name } }'):
            answer = await api.post(query)
            assert "data" not in answer
            assert {error["extensions"]["code"] for error in answer["errors"]} == {"GRAPHQL_VALIDATION_FAILED"}
        assert await api.ask("{ __typename }") == {"__typename": "Query"}
    async with serve(Limits()) as api:
        assert (await api.ask('{ __type(name: "Saga") { name } }'))["__type"] == {"name": "Saga"}


async def test_suggestions_can_be_switched_off(serve: Serve) -> None:
    unknown = "{ viewer { usernam } }"
    variable = "query ($f: SagaFilter) { sagas(filter: $f) { totalCount } }"
    async with serve(Limits()) as api:
        assert "Did you mean" in (await api.refused(unknown))["message"]
        assert "Did you mean" in (await api.refused(variable, f={"branc": "x"}))["message"]
    async with serve(Limits(suggestions=False)) as api:
        for answer in (await api.refused(unknown), await api.refused(variable, f={"branc": "x"})):
            assert "Did you mean" not in answer["message"]
            assert "branch" not in answer["message"].replace("'branc'", "")
            assert "username" not in answer["message"]

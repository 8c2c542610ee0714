"""The short way through the schema answers as the long one does, whatever is sent: data, errors, statuses and headers."""

import re
from typing import Any
from uuid import UUID

import pytest

from app.graphql_http import GRAPHQL_JSON
from schema.root import schema
from tests.app.api import Api, limit, saga_id
from tests.app.test_loading import EVERYTHING
from tests.benchmarks.api_documents import ADVANCE, SAGA, SAGAS
from tests.world import World

NOWHERE = "U2FnYTowMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDA="
BY_ID = f"query ($id: ID!) {{ saga(id: $id) {{ {EVERYTHING} }} }}"
TWO = "query A { viewer { username } } query B($id: ID!) { b: saga(id: $id) { branch } } mutation C { __typename }"
REQUESTS: tuple[dict[str, Any], ...] = (
    {"query": SAGA, "variables": {"id": "THE SAGA"}},
    {"query": BY_ID, "variables": {"id": "THE SAGA"}},
    {"query": SAGAS, "variables": {"first": 5}},
    {"query": SAGAS, "variables": {"first": 5000}},
    {"query": SAGAS, "variables": {"first": "five"}},
    {"query": SAGAS},
    {"query": SAGA, "variables": {"id": NOWHERE}},
    {"query": SAGA, "variables": {"id": "no id"}},
    {"query": SAGA, "variables": {"id": None}},
    {"query": SAGA, "variables": {"id": "THE SAGA"}, "operationName": "Saga"},
    {"query": SAGA, "variables": {"id": "THE SAGA"}, "operationName": "Other"},
    {"query": SAGA, "variables": {"id": "THE SAGA"}, "operationName": ""},
    {"query": TWO, "variables": {"id": "THE SAGA"}},
    *({"query": TWO, "variables": {"id": "THE SAGA"}, "operationName": name} for name in "ABC"),
    {"query": ADVANCE, "variables": {"input": {"sagaId": NOWHERE, "step": "X", "values": {}}}},
    {"query": ADVANCE, "variables": {"input": {"sagaId": "THE SAGA", "values": []}}},
    {"query": "{ viewer { username rateLimit { limit cost } } }"},
    {"query": "{ viewer { nickname } }"},
    {"query": "{ viewer { "},
    {"query": ""},
    {"query": 'subscription { sagaEvents(sagaId: "x") { event { id } } }'},
    {"query": "{ __schema { queryType { name } } }"},
    {"query": "query ($yes: Boolean!) { viewer { username @include(if: $yes) id } }", "variables": {"yes": False}},
    {"query": '{ geometries(projectPath: "nowhere") { id } viewer { username } }'},
)


async def answered(api: Api, request: dict[str, Any], *, token: str | None, language: str) -> Any:
    headers = {"Accept": GRAPHQL_JSON, "Accept-Language": language}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    response = await api.http.post("/graphql", json=request, headers=headers)
    told = {name: value for name, value in response.headers.items() if name not in {"x-request-id", "content-length"}}
    # Points and seconds go on between the two; that points are taken is compared by itself.
    told = {name: value for name, value in told.items() if not name.startswith("ratelimit-re")}
    return response.status_code, re.sub(r'"reference":\s*"\w+"', "", response.text), told


@pytest.mark.parametrize(("token", "language"), [("irina", "en"), ("pavel", "ru"), (None, "en"), ("nobody", "ru")])
async def test_both_ways_answer_alike(
    api: Api, monkeypatch: pytest.MonkeyPatch, token: str | None, language: str
) -> None:
    row = await resting(api.world)
    for request in REQUESTS:
        variables = {
            name: saga_id(row) if value == "THE SAGA" else value for name, value in request.get("variables", {}).items()
        }
        asked = {**request, "variables": variables}
        answers = []
        for directly in (True, True, False):
            monkeypatch.setattr(schema, "runs_directly", directly)
            answers.append(await answered(api, asked, token=token, language=language))
        assert answers[0] == answers[1] == answers[2], asked


async def resting(world: World) -> Any:
    """A saga that nobody moves while it is looked at."""
    row = await world.start()
    await world.reaches(row.id, "AWAIT_USER_CONDENSER_INPUT")
    assert isinstance(row.id, UUID)
    return row


async def points_left(api: Api, request: dict[str, Any]) -> tuple[int, int, Any]:
    response = await api.http.post("/graphql", json=request, headers={"Authorization": "Bearer irina"})
    return response.status_code, int(response.headers["RateLimit-Remaining"]), response.json().get("errors")


@pytest.mark.parametrize("directly", [True, False])
async def test_both_ways_keep_the_limits(api: Api, monkeypatch: pytest.MonkeyPatch, directly: bool) -> None:
    monkeypatch.setattr(schema, "runs_directly", directly)
    page = {"query": SAGAS, "variables": {"first": 100}}
    await points_left(api, page)
    before = (await points_left(api, page))[1]
    _, after, errors = await points_left(api, page)
    assert (before - after, errors) == (19, None)
    limit(api, cost=1_000)
    _, refused, errors = await points_left(api, {"query": "{ viewer { username } }"})
    assert (after - refused, errors) == (1, None)
    answer = await api.refused(SAGAS, first=100)
    assert (answer["code"], answer["limit"]) == ("LIMIT_EXCEEDED", "cost")

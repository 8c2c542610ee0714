import json

import pytest

from app.graphql_http import GRAPHQL_JSON, JSON
from tests.app.api import Api

VIEWER = "{ viewer { username } }"


async def test_a_query_is_answered_as_json(api: Api) -> None:
    assert await api.ask(VIEWER) == {"viewer": {"username": "irina"}}


async def test_a_query_by_get_is_answered_and_a_mutation_by_get_is_not(api: Api) -> None:
    headers = {"Authorization": "Bearer irina"}
    good = await api.http.get("/graphql", params={"query": VIEWER}, headers=headers)
    assert (good.status_code, good.json()) == (200, {"data": {"viewer": {"username": "irina"}}})
    mutation = (
        'mutation { startBalanceCalculation(input: {projectPath: "plant/unit", branch: "issue/1-test"}) { created } }'
    )
    bad = await api.http.get("/graphql", params={"query": mutation}, headers=headers)
    assert (bad.status_code, bad.headers["allow"]) == (405, "POST")
    assert (await api.ask("{ sagas { totalCount } }"))["sagas"]["totalCount"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"3",
        b'"x"',
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 200_000,
        b"{}",
        b'{"query": 3}',
        b'{"query": ""}',
        b'{"query": "{viewer{id}}", "variables": [1]}',
        b'{"query": "{viewer{id}}", "operationName": {}}',
        b'{"query": "{viewer{id}}", "variables": {"a": NaN}}',
    ],
    ids=lambda body: body[:24].decode("latin1"),
)
async def test_a_body_that_is_no_request_is_400_with_a_graphql_error(api: Api, body: bytes) -> None:
    response = await api.http.post("/graphql", content=body, headers={"Content-Type": JSON})
    assert response.status_code == 400
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_another_content_type_is_415_so_that_no_form_of_a_foreign_page_gets_through(api: Api) -> None:
    response = await api.http.post(
        "/graphql", content=json.dumps({"query": VIEWER}), headers={"Content-Type": "text/plain; x=application/json"}
    )
    assert response.status_code == 415


async def test_a_body_over_the_limit_is_413(api: Api) -> None:
    response = await api.http.post(
        "/graphql", content=b" " * 2_000_001, headers={"Content-Type": JSON, "Authorization": "Bearer irina"}
    )
    assert response.status_code == 413


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ viewer {", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query ($id: ID!) { saga(id: $id) { id } }", "BAD_USER_INPUT"),
        ("{ viewer { id } " + "a " * 6000 + "}", "LIMIT_EXCEEDED"),
        ("{" + " ".join(f"a{i}: viewer {{ id }}" for i in range(101)) + "}", "LIMIT_EXCEEDED"),
    ],
)
async def test_errors_before_execution_have_a_code_each_time(api: Api, query: str, code: str) -> None:
    for _ in range(2):  # the second time the document may be known already
        assert (await api.refused(query))["code"] == code


async def test_only_clients_of_the_graphql_media_type_get_status_codes_for_errors_inside(api: Api) -> None:
    headers = {"Authorization": "Bearer irina"}
    for accept, status in ((GRAPHQL_JSON, 400), (JSON, 200), ("*/*", 200)):
        response = await api.http.post("/graphql", json={"query": "{ nothing }"}, headers=headers | {"Accept": accept})
        assert response.status_code == status
        assert "data" not in response.json()
        assert response.headers["content-type"].startswith(GRAPHQL_JSON if status == 400 else JSON)
    good = await api.http.post("/graphql", json={"query": VIEWER}, headers=headers | {"Accept": GRAPHQL_JSON})
    assert (good.status_code, good.headers["content-type"]) == (200, f"{GRAPHQL_JSON}; charset=utf-8")


async def test_a_browser_gets_the_explorer_and_nothing_from_another_host(api: Api) -> None:
    page = await api.http.get("/graphql", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http://" not in page.text
    assert "https://" not in page.text


@pytest.mark.parametrize("header", [None, "Bearer nobody", "Basic aXJpbmE6eA==", "Bearer", "irina"])
async def test_whoever_is_not_known_is_unauthenticated(api: Api, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    for query in (VIEWER, "{ sagas { totalCount } }", "{ calculations { name } }", "{ sagaDefinitions { name } }"):
        response = await api.http.post("/graphql", json={"query": query}, headers=headers)
        answer = response.json()
        assert answer["data"] is None
        assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_an_unauthenticated_mutation_changes_nothing(api: Api) -> None:
    mutation = (
        'mutation { startBalanceCalculation(input: {projectPath: "plant/unit", branch: "issue/1-test"}) { created } }'
    )
    assert (await api.refused(mutation, token=None))["code"] == "UNAUTHENTICATED"
    assert (await api.ask("{ sagas { totalCount } }"))["sagas"]["totalCount"] == 0


async def test_an_internal_error_is_masked_and_its_reference_is_in_the_log(
    api: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("the password is swordfish")

    monkeypatch.setattr(type(api.services.backend.queries), "count", broken)
    error = await api.refused("{ sagas { totalCount } }")
    assert error["code"] == "INTERNAL_SERVER_ERROR"
    assert "swordfish" not in json.dumps(error)
    assert any(error["reference"] in record.getMessage() for record in caplog.records)

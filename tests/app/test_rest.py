import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from app import rest
from sagas.errors import RetryableError
from sagas.ids import ProjectId
from sagas.models import SagaStatus
from sagas.ports import AccessLevel
from schema.limits import Limits
from tests.app.api import Api, serving
from tests.world import COLLEAGUE, ENGINEER, World

PATH = "/saga/calculate-balance"
IRINA = {"Authorization": "Bearer irina"}
PLACE = {"projectPath": "plant/unit", "branch": "issue/1-test"}


async def test_the_answer_comes_when_the_user_is_asked(api: Api) -> None:
    response = await api.http.post(PATH, json=PLACE, headers=IRINA)
    assert response.status_code == 200
    body = response.json()
    (saga,) = (await api.services.backend.queries.sagas([body["id"]])).values()
    assert body == {
        "id": str(saga.id),
        "status": "user_input_required",
        "next_step": "CONDENSER_CALCULATION",
        "state": "AWAIT_USER_CONDENSER_INPUT",
        "version": saga.version,
    }


async def test_the_readme_s_answer_is_what_an_issue_without_a_branch_gets(api: Api) -> None:
    for title in ("Has a branch", "Summer water"):
        api.world.forge.add_issue(api.world.project, title, assignees=[ENGINEER])
    response = await api.http.post(PATH, json={"projectPath": "plant/unit", "issueIid": 2}, headers=IRINA)
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```json\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert {**response.json(), "id": "…"} == json.loads(shown)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"nonsense", "The body is not JSON: Expecting value, at character 0."),
        (b'{"projectPath": }', "The body is not JSON: Expecting value, at character 16."),
        (b"[]", "The body must be a JSON object."),
        (b"", "Field required"),
    ],
)
async def test_a_body_that_is_no_json_object_is_told_in_words_and_starts_nothing(
    api: Api, body: bytes, words: str
) -> None:
    response = await api.http.post(PATH, content=body, headers=IRINA | {"Content-Type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (422, "INVALID_INPUT")
    assert words in response.json()["detail"]
    assert response.json()["errors"][0]["field"] == []
    assert (await api.ask("{ sagas { totalCount } }"))["sagas"]["totalCount"] == 0


async def test_the_same_request_finds_the_same_saga(api: Api) -> None:
    headers = IRINA | {"Idempotency-Key": "42"}
    answers = await asyncio.gather(*(api.http.post(PATH, json=PLACE, headers=headers) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await api.http.post(PATH, json={**PLACE, "issueIid": 1}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert (await api.ask("{ sagas { totalCount } }"))["sagas"]["totalCount"] == 1


async def test_a_saga_that_waits_for_a_worker_is_calculating_and_a_finished_one_completed(api: Api) -> None:
    first = (await api.http.post(PATH, json=PLACE, headers=IRINA)).json()
    row = (await api.world.saga(first["id"])).id
    await api.world.give(row, "condenser")
    await api.world.published(row, "condenser")
    assert (await api.http.post(PATH, json=PLACE, headers=IRINA)).json()["status"] == "calculating"


async def test_a_saga_that_does_not_stop_in_time_is_accepted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "PATIENCE_S", 0.2)
    async with serving(world, engine=False) as api:
        response = await api.http.post(PATH, json=PLACE, headers=IRINA)
        assert response.status_code == 202
        body = response.json()
        assert (body["status"], body["state"]) == ("accepted", "CHECK_CONDENSER")


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({}, 422, "INVALID_INPUT", ["projectPath"]),
        ({"projectPath": 5}, 422, "INVALID_INPUT", ["projectPath"]),
        ({**PLACE, "issueIid": "1"}, 422, "INVALID_INPUT", ["issueIid"]),
        ({**PLACE, "color": "red"}, 422, "INVALID_INPUT", ["color"]),
        ({"projectPath": "no/such", "branch": "x"}, 404, "NOT_FOUND", ["projectPath"]),
        ({"projectPath": "plant/unit"}, 422, "INVALID_INPUT", ["issueIid"]),
        ({"projectPath": "plant/unit", "branch": "main"}, 422, "INVALID_INPUT", ["branch"]),
    ],
)
async def test_a_refusal_is_a_problem_document_that_names_the_field(
    api: Api, body: dict[str, Any], status: int, code: str, field: list[str]
) -> None:
    response = await api.http.post(PATH, json=body, headers=IRINA)
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["errors"][0]["field"] == field
    assert problem["detail"]
    assert (await api.ask("{ sagas { totalCount } }"))["sagas"]["totalCount"] == 0


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"3"])
async def test_a_body_that_is_no_json_object_is_a_problem(api: Api, content: bytes) -> None:
    response = await api.http.post(PATH, content=content, headers=IRINA | {"Content-Type": "application/json"})
    assert response.status_code in {400, 422}
    assert response.headers["content-type"] == "application/problem+json"


async def test_rights_and_outages_have_their_status(api: Api) -> None:
    unknown = await api.http.post(PATH, json=PLACE)
    assert (unknown.status_code, unknown.json()["code"]) == (401, "UNAUTHENTICATED")
    assert unknown.headers["www-authenticate"] == "Bearer"
    api.world.access.set(COLLEAGUE, ProjectId(api.world.project.id), AccessLevel.REPORTER)
    denied = await api.http.post(PATH, json=PLACE, headers={"Authorization": "Bearer pavel"})
    assert (denied.status_code, denied.json()["code"]) == (403, "FORBIDDEN")
    api.world.forge.fail_next("project", RetryableError("GITLAB_UNAVAILABLE", "502 Bad Gateway"))
    away = await api.http.post(PATH, json=PLACE, headers=IRINA)
    assert (away.status_code, away.json()["code"]) == (503, "GITLAB_UNAVAILABLE")
    assert away.headers["retry-after"]
    assert (await api.ask("{ sagas { totalCount } }"))["sagas"]["totalCount"] == 0


async def test_a_client_that_goes_away_does_not_end_the_saga(api: Api) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await api.http.post(PATH, json=PLACE, headers=IRINA)
    answer = (await api.http.post(PATH, json=PLACE, headers=IRINA)).json()
    assert (await api.world.saga(answer["id"])).status is SagaStatus.AWAITING_INPUT


async def test_over_the_rate_gitlab_is_not_asked_and_nothing_starts(world: World) -> None:
    async with serving(world, engine=False, limits=Limits(rate=2)) as api:
        first = await api.http.post(PATH, json=PLACE | {"projectPath": "no/such"}, headers=IRINA)
        assert (first.status_code, first.headers["ratelimit-remaining"]) == (404, "1")
        assert "errors" not in await api.post("{ viewer { username } }")  # both sides take from one purse
        refused = await api.http.post(PATH, json=PLACE, headers=IRINA)
        assert (refused.status_code, refused.json()["code"]) == (429, "LIMIT_EXCEEDED")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert await api.services.backend.queries.project_ids() == []
        others = await api.http.post(
            PATH, json=PLACE | {"projectPath": "no/such"}, headers={"Authorization": "Bearer pavel"}
        )
        assert others.status_code == 404

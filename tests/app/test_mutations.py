import asyncio
from typing import Any

import pytest

from sagas.errors import RetryableError
from sagas.models import SagaStatus
from sagas.ports import AccessLevel, TaskReport, TaskState
from schema import ids
from tests.app.api import Api, saga_id
from tests.world import COLLEAGUE

PAYLOAD = "saga { id status state version } created userErrors { code message field }"
START = f"mutation ($input: StartBalanceCalculationInput!) {{ startBalanceCalculation(input: $input) {{ {PAYLOAD} }} }}"
ADVANCE = f"mutation ($input: AdvanceSagaInput!) {{ advanceSaga(input: $input) {{ {PAYLOAD} }} }}"
RUN = f"mutation ($input: RunCalculationInput!) {{ runCalculation(input: $input) {{ {PAYLOAD} }} }}"
RETRY = f"mutation ($input: RetrySagaInput!) {{ retrySaga(input: $input) {{ {PAYLOAD} }} }}"
PAUSE = f"mutation ($input: SagaActionInput!) {{ pauseSaga(input: $input) {{ {PAYLOAD} }} }}"
RESUME = f"mutation ($input: SagaActionInput!) {{ resumeSaga(input: $input) {{ {PAYLOAD} }} }}"
CANCEL = f"mutation ($input: CancelSagaInput!) {{ cancelSaga(input: $input) {{ {PAYLOAD} }} }}"
MERGE = """mutation ($input: CreateMergeRequestInput!) { createMergeRequest(input: $input) {
  mergeRequest { id iid title state webUrl sourceBranch targetBranch } created userErrors { code message field } } }"""
PLACE = {"projectPath": "plant/unit", "branch": "issue/1-test"}


async def do(api: Api, mutation: str, given: dict[str, Any], *, token: str = "irina") -> dict[str, Any]:
    """The payload of a mutation."""
    data = await api.ask(mutation, token=token, input=given)
    (payload,) = data.values()
    assert isinstance(payload, dict)
    return payload


async def refusal(api: Api, mutation: str, given: dict[str, Any], *, token: str = "irina") -> dict[str, Any]:
    """The one user error of a mutation that does nothing."""
    payload = await do(api, mutation, given, token=token)
    assert payload["created"] is False
    assert payload.get("saga", payload.get("mergeRequest")) is None
    (error,) = payload["userErrors"]
    assert isinstance(error, dict)
    return error


async def count(api: Api) -> int:
    return int((await api.ask("{ sagas { totalCount } }"))["sagas"]["totalCount"])


async def test_start_bears_one_saga_however_often_it_is_asked(api: Api) -> None:
    first = await do(api, START, PLACE)
    again = await do(api, START, {**PLACE, "idempotencyKey": "k"})
    assert (first["created"], again["created"]) == (True, False)
    assert first["saga"]["id"] == again["saga"]["id"]
    assert await count(api) == 1


async def test_racing_starts_with_one_key_bear_one_saga(api: Api) -> None:
    payloads = await asyncio.gather(*(do(api, START, {**PLACE, "idempotencyKey": "one"}) for _ in range(10)))
    assert len({payload["saga"]["id"] for payload in payloads}) == 1
    assert sum(payload["created"] for payload in payloads) == 1
    assert await count(api) == 1


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"projectPath": "no/such"}, "NOT_FOUND", ["projectPath"]),
        ({"projectPath": "plant/unit"}, "INVALID_INPUT", ["issueIid"]),
        ({"projectPath": "plant/unit", "branch": "nowhere"}, "NOT_FOUND", ["branch"]),
        ({"projectPath": "plant/unit", "branch": "main"}, "INVALID_INPUT", ["branch"]),
        ({"projectPath": "plant/unit", "issueIid": 4711}, "NOT_FOUND", ["issueIid"]),
        ({**PLACE, "idempotencyKey": ""}, "INVALID_INPUT", ["idempotencyKey"]),
    ],
)
async def test_a_start_that_cannot_be_is_refused_by_field_and_starts_nothing(
    api: Api, given: dict[str, Any], code: str, field: list[str]
) -> None:
    error = await refusal(api, START, given)
    assert (error["code"], error["field"]) == (code, field)
    assert await count(api) == 0


async def test_rights_are_told_apart_read_none_and_write(api: Api) -> None:
    api.world.access.set(COLLEAGUE, api.world.project.id, AccessLevel.REPORTER)
    assert (await refusal(api, START, PLACE, token="pavel"))["code"] == "FORBIDDEN"
    api.world.access.set(COLLEAGUE, api.world.project.id, AccessLevel.NONE)
    assert (await refusal(api, START, PLACE, token="pavel"))["code"] == "NOT_FOUND"
    assert await count(api) == 0


async def test_while_gitlab_is_away_nothing_is_started_and_the_user_told(api: Api) -> None:
    api.world.forge.fail_next("project", RetryableError("GITLAB_UNAVAILABLE", "502 Bad Gateway"))
    assert (await refusal(api, START, PLACE))["code"] == "GITLAB_UNAVAILABLE"
    assert await count(api) == 0


async def test_a_form_is_filled_in_and_the_saga_moves_on(api: Api) -> None:
    started = (await do(api, START, PLACE))["saga"]
    row = ids.saga_id(started["id"])
    waiting = await api.world.reaches(row, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    form = {"sagaId": started["id"], "step": "AWAIT_USER_CONDENSER_INPUT", "values": {"load": 7}}
    payload = await do(api, ADVANCE, {**form, "expectedVersion": waiting.version})
    assert payload["created"] is True
    await api.world.published(row, "condenser")
    assert api.world.forge.read(api.world.project, "issue/1-test", "condenser_input.json") == '{\n  "load": 7\n}\n'


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"values": {"load": -1}}, "INVALID_INPUT", ["values", "load"]),
        ({"values": {}}, "INVALID_INPUT", ["values", "load"]),
        ({"values": []}, "INVALID_INPUT", ["values"]),
        ({"values": {"load": "a\0"}}, "INVALID_INPUT", ["values", "load"]),
        ({"step": "AWAIT_USER_FEEDWATER_HEATERS_INPUT"}, "WRONG_STATE", ["step"]),
        ({"expectedVersion": 1}, "VERSION_CONFLICT", ["expectedVersion"]),
        ({"sagaId": "nonsense"}, "INVALID_INPUT", ["sagaId"]),
        ({"sagaId": ids.global_id(ids.ISSUE, 1, 2)}, "INVALID_INPUT", ["sagaId"]),
        ({"sagaId": ids.global_id(ids.SAGA, "00000000-0000-4000-8000-000000000000")}, "NOT_FOUND", ["sagaId"]),
    ],
)
async def test_a_form_that_is_wrong_is_refused_by_field_and_changes_nothing(
    api: Api, change: dict[str, Any], code: str, field: list[str]
) -> None:
    started = (await do(api, START, PLACE))["saga"]
    row = ids.saga_id(started["id"])
    waiting = await api.world.reaches(row, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    commits = len(api.world.forge.commit_log(api.world.project, "issue/1-test"))
    form = {"sagaId": started["id"], "step": "AWAIT_USER_CONDENSER_INPUT", "values": {"load": 7}}
    error = await refusal(api, ADVANCE, {**form, **change})
    assert (error["code"], error["field"]) == (code, field)
    assert (await api.world.saga(row)).version == waiting.version
    assert len(api.world.forge.commit_log(api.world.project, "issue/1-test")) == commits


async def test_one_calculation_runs_alone(api: Api) -> None:
    payload = await do(api, RUN, {**PLACE, "calculation": "condenser", "values": {"load": 4}})
    await api.world.published(ids.saga_id(payload["saga"]["id"]), "condenser")
    unknown = await refusal(api, RUN, {**PLACE, "calculation": "boiler", "values": {}})
    assert (unknown["code"], unknown["field"]) == ("INVALID_INPUT", ["calculation"])


async def test_pause_resume_and_cancel(api: Api) -> None:
    started = (await do(api, START, PLACE))["saga"]
    row = ids.saga_id(started["id"])
    await api.world.reaches(row, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    one = {"sagaId": started["id"]}
    assert (await do(api, PAUSE, one))["saga"]["status"] == "PAUSED"
    assert (await refusal(api, RETRY, one))["code"] == "WRONG_STATE"
    assert (await do(api, RESUME, one))["saga"]["status"] == "AWAITING_INPUT"
    assert (await do(api, CANCEL, {**one, "reason": "wrong branch"}))["saga"]["status"] in {"CANCELLING", "CANCELLED"}
    await api.world.is_now(row, SagaStatus.CANCELLED)
    assert api.world.forge.read(api.world.project, "issue/1-test", "condenser_input.json") is None


async def test_what_a_cancellation_would_undo_is_shown_before_it_is_asked_for(api: Api) -> None:
    started = (await do(api, START, PLACE))["saga"]
    row = ids.saga_id(started["id"])
    await api.world.give(row, "condenser")
    task = await api.world.published(row, "condenser")
    query = "query ($id: ID!) { saga(id: $id) { undoPreview { kind description step file commit { sha } stays } } }"
    items = (await api.ask(query, id=started["id"]))["saga"]["undoPreview"]
    newest, hydrated, *_ = api.world.forge.commit_log(api.world.project, "issue/1-test")
    assert [(item["kind"], item["step"], item["file"], item["commit"], item["stays"]) for item in items] == [
        ("TASK", "DISPATCH_CONDENSER", None, None, None),
        ("COMMIT", "COMMIT_CONDENSER_INPUT", "condenser_input.json", {"sha": newest.sha}, None),
        ("COMMIT", "HYDRATE_CONDENSER", "condenser_input.json", {"sha": hydrated.sha}, None),
    ]
    assert str(task) in items[0]["description"]
    await do(api, CANCEL, {"sagaId": started["id"]})
    await api.world.is_now(row, SagaStatus.CANCELLED)
    assert (await api.ask(query, id=started["id"]))["saga"]["undoPreview"] == []


async def test_a_failed_calculation_is_retried_from_the_form(api: Api) -> None:
    started = (await do(api, START, PLACE))["saga"]
    row = ids.saga_id(started["id"])
    await api.world.give(row, "condenser")
    task = await api.world.published(row, "condenser")
    api.world.publisher.finish(task, TaskReport(TaskState.FAILED, error="no convergence"))
    await api.world.pushed("issue/1-test")
    await api.world.is_now(row, SagaStatus.FAILED)
    payload = await do(api, RETRY, {"sagaId": started["id"], "fromStep": "AWAIT_USER_CONDENSER_INPUT"})
    assert payload["userErrors"] == []
    await api.world.reaches(row, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)


async def test_a_merge_request_is_opened_once(api: Api) -> None:
    given = {"projectPath": "plant/unit", "sourceBranch": "issue/1-test", "title": "Condenser"}
    first, again = await do(api, MERGE, given), await do(api, MERGE, given)
    assert (first["created"], again["created"]) == (True, False)
    assert first["mergeRequest"] == again["mergeRequest"]
    assert (first["mergeRequest"]["state"], first["mergeRequest"]["targetBranch"]) == ("opened", "main")
    assert len(await api.world.forge.merge_requests(api.world.project.id, source_branch="issue/1-test")) == 1
    assert await count(api) == 0, "merge request sagas are listed only by their definition"
    wrong = await refusal(api, MERGE, {"projectPath": "plant/unit", "sourceBranch": "nowhere"})
    assert (wrong["code"], wrong["field"]) == ("NOT_FOUND", ["sourceBranch"])


async def test_the_answer_shows_what_the_command_did_also_in_what_it_loads(api: Api) -> None:
    started = (await do(api, START, PLACE))["saga"]
    await api.world.reaches(ids.saga_id(started["id"]), "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    answer = await api.ask(
        """mutation ($input: SagaActionInput!) { pauseSaga(input: $input) {
          saga { version status events(last: 1) { edges { node { version type status saga { version status } } } } } } }""",
        input={"sagaId": saga_id(await api.world.saga(ids.saga_id(started["id"])))},
    )
    saga = answer["pauseSaga"]["saga"]
    (edge,) = saga["events"]["edges"]
    assert edge["node"]["version"] == edge["node"]["saga"]["version"] == saga["version"]
    assert edge["node"]["type"] == saga["status"] == "PAUSED"

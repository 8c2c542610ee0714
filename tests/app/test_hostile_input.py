"""Text that databases and URLs choke on: refused or harmless in every place that takes text, never an internal error."""

from typing import Any

import pytest

from sagas.models import SagaStatus
from tests.app.api import Api, saga_id
from tests.app.test_mutations import ADVANCE, CANCEL, MERGE, PAUSE, RETRY, RUN, START

HOSTILE = ["a\0b", "\ud800", "x" * 5000, "../../etc/passwd", "%2e%2e%2f", "a\r\nX: y", "🧪" * 300, "' OR 1=1 --", ""]
INPUTS: list[tuple[str, dict[str, Any], list[str]]] = [
    (START, {"projectPath": "plant/unit", "branch": "issue/1-test"}, ["projectPath", "branch", "idempotencyKey"]),
    (
        RUN,
        {"projectPath": "plant/unit", "branch": "issue/1-test", "calculation": "condenser", "values": {"load": 1}},
        ["projectPath", "branch", "calculation", "idempotencyKey", "values"],
    ),
    (ADVANCE, {"step": "AWAIT_USER_CONDENSER_INPUT", "values": {"load": 1}}, ["sagaId", "step", "idempotencyKey"]),
    (RETRY, {}, ["sagaId", "fromStep", "idempotencyKey"]),
    (PAUSE, {}, ["sagaId", "idempotencyKey"]),
    (CANCEL, {}, ["sagaId", "reason", "idempotencyKey"]),
    (
        MERGE,
        {"projectPath": "plant/unit", "sourceBranch": "issue/1-test"},
        ["projectPath", "sourceBranch", "targetBranch", "title", "description", "idempotencyKey"],
    ),
]


@pytest.mark.parametrize(
    ("mutation", "given", "field"),
    [(mutation, given, field) for mutation, given, fields in INPUTS for field in fields],
    ids=lambda value: (
        value.split("{")[1].strip().split("(")[0] if isinstance(value, str) and "{" in value else str(value)
    ),
)
async def test_hostile_text_in_a_mutation_is_no_fault_of_ours(
    api: Api, mutation: str, given: dict[str, Any], field: str
) -> None:
    saga = await api.world.start()
    await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    base = given if "projectPath" in given else {"sagaId": saga_id(saga), **given}
    for text in HOSTILE:
        value = {"load": 1, "note": text} if field == "values" else text
        answer = await api.post(mutation, input={**base, field: value})
        codes = [error["extensions"]["code"] for error in answer.get("errors", [])]
        assert "INTERNAL_SERVER_ERROR" not in codes, (text[:20], answer)


@pytest.mark.parametrize(
    "query",
    [
        "query ($x: ID!) { node(id: $x) { id } }",
        "query ($x: ID!) { saga(id: $x) { id } }",
        "query ($x: ID!) { sagas(filter: {projectPath: $x}) { totalCount edges { cursor } } }",
        "query ($x: String!) { sagas(filter: {branch: $x}) { totalCount } }",
        "query ($x: String!) { sagas(filter: {definition: $x}) { totalCount } }",
        "query ($x: String!) { sagas(after: $x) { totalCount edges { cursor } } }",
        "query ($x: ID!) { issue(projectPath: $x, iid: 1) { iid } }",
        "query ($x: ID!) { issues(projectPath: $x) { edges { cursor } } }",
        "query ($x: String!) { issues(search: $x, labels: [$x]) { edges { cursor } } }",
        "query ($x: String!) { issues(after: $x) { edges { cursor } } }",
        'query ($x: String!) { geometries(projectPath: "plant/unit", ref: $x) { key } }',
        "query ($x: ID!) { geometries(projectPath: $x) { key } }",
        "query ($x: ID!) { sagaDefinitions { diagram(sagaId: $x) } }",
    ],
)
async def test_hostile_text_in_a_query_is_no_fault_of_ours(api: Api, query: str) -> None:
    await api.world.start()
    for text in HOSTILE:
        answer = await api.post(query, x=text)
        codes = [error["extensions"]["code"] for error in answer.get("errors", [])]
        assert "INTERNAL_SERVER_ERROR" not in codes, (text[:20], answer)


async def test_numbers_beyond_every_column_are_no_fault_of_ours(api: Api) -> None:
    saga = await api.world.start()
    for number in (-1, 0, 2**31 - 1, -(2**31)):
        for query in (
            "query ($n: Int) { sagas(filter: {issueIid: $n}) { totalCount } }",
            'query ($n: Int!) { issue(projectPath: "plant/unit", iid: $n) { iid } }',
        ):
            await api.ask(query, n=number)
        payload = await api.ask(PAUSE, input={"sagaId": saga_id(saga), "expectedVersion": number})
        assert payload["pauseSaga"]["userErrors"]
    error = await api.refused("query ($n: Int) { sagas(first: $n) { totalCount } }", n=2**31)
    assert error["code"] == "BAD_USER_INPUT"

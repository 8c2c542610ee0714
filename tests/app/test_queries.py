import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event

from sagas.errors import RetryableError
from sagas.models import SagaStatus
from sagas.ports import AccessLevel
from schema import ids
from tests.app.api import Api, saga_id
from tests.world import COLLEAGUE

SAGA = """query ($id: ID!) { saga(id: $id) {
  id status state nextStep version waitingFor waitingSince deadlineAt nextAttemptAt availableActions
  projectPath branch createdAt updatedAt finishedAt
  retrySteps issueIid
  definition { name version title states diagram(sagaId: $id) transitions { fromState trigger toState } }
  progress { completedSteps totalSteps fraction }
  steps { name kind visit calculation status attempts startedAt finishedAt error { code } commit { sha webUrl message } }
  pendingInput { step calculation { name inputSchema } draft file expectedVersion }
  tasks { correlationId status branch commitHash inputFiles outputFile result calculation { name } publishedAt }
  error { code message retryable occurredAt }
  startedBy { id username name }
  issue { iid }
  mergeRequest { iid state }
} }"""
PAGE = """query ($first: Int, $after: String, $last: Int, $before: String, $filter: SagaFilter) {
  sagas(first: $first, after: $after, last: $last, before: $before, filter: $filter) {
    totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { id branch status nextStep progress { fraction } steps { name }
      definition { name } tasks { status } pendingInput { draft } } } } }"""


@contextmanager
def counted(api: Api) -> Iterator[list[str]]:
    """The statements that the read side sends meanwhile."""
    statements: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    engine = api.world.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_a_waiting_saga_shows_everything_that_a_form_needs(api: Api) -> None:
    row = await api.world.start()
    await api.world.reaches(row.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    saga = (await api.ask(SAGA, id=saga_id(row)))["saga"]
    assert saga["nextStep"] == "CONDENSER_CALCULATION"
    assert saga["waitingFor"] == "Irina Sokolova"
    assert set(saga["availableActions"]) == {"ADVANCE", "PAUSE", "CANCEL"}
    assert saga["startedBy"] == {"id": ids.global_id(ids.USER, 7), "username": "irina", "name": "Irina Sokolova"}
    pending = saga["pendingInput"]
    assert (pending["step"], pending["file"]) == ("AWAIT_USER_CONDENSER_INPUT", "condenser_input.json")
    assert pending["draft"] == {"load": 3}
    assert pending["expectedVersion"] == saga["version"]
    assert pending["calculation"]["inputSchema"]["required"] == ["load"]
    steps = {step["name"]: step for step in saga["steps"]}
    assert steps["HYDRATE_CONDENSER"]["commit"]["sha"]
    assert steps["AWAIT_USER_CONDENSER_INPUT"]["status"] == "WAITING"
    assert saga["progress"]["totalSteps"] == len(steps)
    assert saga["createdAt"].endswith("Z")
    assert "AWAIT_USER_CONDENSER_INPUT" in saga["definition"]["diagram"]
    assert (saga["retrySteps"], saga["issueIid"]) == ([], None)


async def test_a_chart_can_be_drawn_from_its_transitions(api: Api) -> None:
    row = await api.world.start()
    definition = (await api.ask(SAGA, id=saga_id(row)))["saga"]["definition"]
    edges = {(edge["fromState"], edge["trigger"], edge["toState"]) for edge in definition["transitions"]}
    assert ("CHECK_CONDENSER", "output_current", "CHECK_FEEDWATER_HEATERS") in edges
    assert ("SYNC_BALANCE_RESULT", "done", "COMPLETED") in edges
    assert {state for edge in edges for state in (edge[0], edge[2])} <= set(definition["states"])
    assert not any(trigger.startswith("back_to") for _, trigger, _ in edges), "retries are no part of the way"


async def test_a_failed_saga_tells_from_where_it_can_go_on(api: Api) -> None:
    row = await api.world.start()
    await api.world.reaches(row.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    await api.world.give(row.id, "condenser")
    await api.world.reaches(row.id, "AWAIT_CONDENSER_RESULT", SagaStatus.AWAITING_RESULT)
    await api.world.database.read(
        lambda c: c.execute("UPDATE saga SET deadline_at = now(), due_at = now() WHERE id = $1", row.id)
    )
    await api.world.reaches(row.id, "AWAIT_CONDENSER_RESULT", SagaStatus.FAILED)
    saga = (await api.ask(SAGA, id=saga_id(row)))["saga"]
    assert saga["retrySteps"] == ["AWAIT_CONDENSER_RESULT", "CHECK_CONDENSER", "AWAIT_USER_CONDENSER_INPUT"]


async def test_a_finished_saga_shows_its_tasks_and_results(api: Api) -> None:
    row = await api.world.start()
    await api.world.run_through(row.id)
    saga = (await api.ask(SAGA, id=saga_id(row)))["saga"]
    assert (saga["status"], saga["nextStep"], saga["pendingInput"]) == ("COMPLETED", None, None)
    assert [task["calculation"]["name"] for task in saga["tasks"]] == ["condenser", "feedwater_heaters", "balance"]
    assert {task["status"] for task in saga["tasks"]} == {"SUCCEEDED"}
    assert saga["tasks"][0]["result"] == {"of": "condenser"}
    assert saga["progress"]["fraction"] == 1
    assert saga["availableActions"] == ["CREATE_MERGE_REQUEST"]


async def test_readers_see_sagas_and_may_do_nothing(api: Api) -> None:
    row = await api.world.start()
    api.world.access.set(COLLEAGUE, api.world.project.id, AccessLevel.REPORTER)
    saga = (await api.ask(SAGA, token="pavel", id=saga_id(row)))["saga"]
    assert saga["availableActions"] == []


async def test_what_may_not_be_read_is_as_if_it_were_not_there(api: Api) -> None:
    row = await api.world.start()
    done = await api.world.run_through(row.id)
    task = done.context["calculations"]["condenser"]["taskId"]
    api.world.access.set(COLLEAGUE, api.world.project.id, AccessLevel.NONE)
    hidden = [
        saga_id(row),
        ids.global_id(ids.SAGA_EVENT, row.id, 1),
        ids.global_id(ids.CALCULATION_TASK, task),
        ids.global_id(ids.SAGA, uuid4()),
        ids.global_id(ids.SAGA_EVENT, row.id, 9999),
        ids.global_id(ids.NodeType("Secret"), 1),
    ]
    for given in hidden:
        answer = await api.ask("query ($id: ID!) { node(id: $id) { id } }", token="pavel", id=given)
        assert answer == {"node": None}
    for given in hidden[:3]:
        answer = await api.ask("query ($id: ID!) { node(id: $id) { id } }", id=given)
        assert answer == {"node": {"id": given}}
    assert await api.ask(SAGA, token="pavel", id=saga_id(row)) == {"saga": None}
    assert (await api.ask("{ sagas { totalCount edges { cursor } } }", token="pavel"))["sagas"] == {
        "totalCount": 0,
        "edges": [],
    }


async def test_sagas_page_both_ways_newest_first(api: Api) -> None:
    names = [f"issue/{number}-x" for number in range(1, 6)]
    for name in names:
        api.world.forge.add_branch(api.world.project, name)
        await api.world.start(branch=name)
    newest_first = names[::-1]
    forwards, after = [], None
    while True:
        page = (await api.ask(PAGE, first=2, after=after))["sagas"]
        forwards += [edge["node"]["branch"] for edge in page["edges"]]
        assert page["totalCount"] == 5
        assert page["pageInfo"]["hasPreviousPage"] == (after is not None)
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert forwards == newest_first
    page = (await api.ask(PAGE, last=2))["sagas"]
    assert [edge["node"]["branch"] for edge in page["edges"]] == newest_first[-2:]
    page = (await api.ask(PAGE, last=2, before=page["pageInfo"]["startCursor"]))["sagas"]
    assert [edge["node"]["branch"] for edge in page["edges"]] == newest_first[1:3]
    assert (page["pageInfo"]["hasNextPage"], page["pageInfo"]["hasPreviousPage"]) == (True, True)


@pytest.mark.parametrize(
    ("given", "branches"),
    [
        ({"branch": "issue/2-other"}, ["issue/2-other"]),
        ({"statuses": ["COMPLETED"]}, []),
        ({"statuses": ["RUNNING", "AWAITING_INPUT"]}, ["issue/2-other", "issue/1-test"]),
        ({"mine": True}, ["issue/2-other", "issue/1-test"]),
        ({"definition": "merge_request"}, []),
        ({"projectPath": "plant/unit", "definition": "balance"}, ["issue/2-other", "issue/1-test"]),
        ({"projectPath": "other/unit"}, []),
        ({"search": "OTHER irina"}, ["issue/2-other"]),
        ({"branch": None, "statuses": None}, ["issue/2-other", "issue/1-test"]),
    ],
)
async def test_sagas_are_filtered(api: Api, given: dict[str, object], branches: list[str]) -> None:
    api.world.forge.add_branch(api.world.project, "issue/2-other")
    for branch in ("issue/1-test", "issue/2-other"):
        await api.world.start(branch=branch)
    page = (await api.ask(PAGE, filter=given))["sagas"]
    assert [edge["node"]["branch"] for edge in page["edges"]] == branches


async def test_mine_are_those_that_the_viewer_started(api: Api) -> None:
    await api.world.start()
    assert (await api.ask(PAGE, token="pavel", filter={"mine": True}))["sagas"]["totalCount"] == 0


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"first": 0}, "first"),
        ({"first": 101}, "first"),
        ({"last": -1}, "last"),
        ({"first": 1, "last": 1}, "last"),
        ({"after": "nonsense"}, "after"),
        ({"before": "%%%"}, "before"),
    ],
)
async def test_paging_out_of_bounds_names_the_argument(api: Api, arguments: dict[str, Any], argument: str) -> None:
    error = await api.refused(PAGE, **arguments)
    assert (error["code"], error["argument"]) == ("BAD_USER_INPUT", argument)
    assert f"`{argument}`" in error["message"] or "first" in error["message"]


async def test_a_page_of_sagas_takes_as_many_statements_as_one_saga(api: Api) -> None:
    await api.world.start()
    await api.world.run_through((await api.world.start()).id)
    await api.ask(PAGE, first=100)
    with counted(api) as for_one:
        await api.ask(PAGE, first=1)
    for number in range(2, 12):
        api.world.forge.add_branch(api.world.project, f"issue/{number}-more")
        row = await api.world.start(branch=f"issue/{number}-more")
        await api.world.reaches(row.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    with counted(api) as for_many:
        page = (await api.ask(PAGE, first=100))["sagas"]
    assert len(page["edges"]) == 11
    # One more for the drafts, which a finished saga has no need of.
    assert len(for_many) <= len(for_one) + 1, "\n".join(for_many)


async def test_events_page_by_version(api: Api) -> None:
    row = await api.world.start()
    done = await api.world.run_through(row.id)
    query = """query ($id: ID!, $first: Int, $after: String, $last: Int) { saga(id: $id) {
      events(first: $first, after: $after, last: $last) { totalCount pageInfo { hasNextPage endCursor }
        edges { node { version type fromState toState status actor data occurredAt saga { id } } } } } }"""
    versions: list[int] = []
    after = None
    while True:
        page = (await api.ask(query, id=saga_id(row), first=5, after=after))["saga"]["events"]
        versions += [edge["node"]["version"] for edge in page["edges"]]
        assert page["totalCount"] == done.version
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert versions == list(range(1, done.version + 1))
    last = (await api.ask(query, id=saga_id(row), last=1))["saga"]["events"]["edges"][0]["node"]
    assert (last["type"], last["version"]) == ("COMPLETED", done.version)


async def test_while_gitlab_is_away_its_fields_are_null_with_a_code_and_the_rest_stands(api: Api) -> None:
    row = await api.world.start()
    await api.world.reaches(row.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    api.world.forge.fail_next("merge_requests", RetryableError("GITLAB_UNAVAILABLE", "502 Bad Gateway"))
    answer = await api.post(SAGA, id=saga_id(row))
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "GITLAB_UNAVAILABLE"
    assert error["path"] == ["saga", "mergeRequest"]
    assert answer["data"]["saga"]["mergeRequest"] is None
    assert answer["data"]["saga"]["pendingInput"]["draft"] == {"load": 3}


async def test_the_catalogue_and_the_definitions_are_listed(api: Api) -> None:
    data = await api.ask(
        "{ calculations { name title inputFile outputFile dependsOn inputSchema } sagaDefinitions { name version states } }"
    )
    assert [entry["name"] for entry in data["calculations"]] == ["condenser", "feedwater_heaters", "balance"]
    assert data["calculations"][2]["dependsOn"] == ["condenser", "feedwater_heaters"]
    names = {definition["name"] for definition in data["sagaDefinitions"]}
    assert names >= {"balance", "merge_request", "calculation_condenser"}
    assert all(definition["version"] == 1 for definition in data["sagaDefinitions"])


async def test_titles_are_russian_for_whoever_prefers_russian(api: Api) -> None:
    headers = {"Authorization": "Bearer irina", "Accept-Language": "ru-RU,ru;q=0.9,en;q=0.5"}
    response = await api.http.post("/graphql", json={"query": "{ calculations { title } }"}, headers=headers)
    assert response.json()["data"]["calculations"][0]["title"] == "condenser"


async def test_geometries_come_from_the_manifest_and_a_broken_one_says_where(api: Api) -> None:
    query = """query ($kind: String, $ref: String) {
      geometries(projectPath: "plant/unit", kind: $kind, ref: $ref) { id key kind attributes } }"""
    assert await api.ask(query) == {"geometries": []}
    manifest = {"geometries": [{"key": "K-1", "name": "Condenser", "kind": "condenser", "tubes": 9}]}
    api.world.forge.write(api.world.project, "issue/1-test", "geometries_manifest.json", json.dumps(manifest))
    (found,) = (await api.ask(query, ref="issue/1-test"))["geometries"]
    assert (found["key"], found["attributes"]) == ("K-1", {"tubes": 9})
    assert await api.ask(query, ref="issue/1-test", kind="heater") == {"geometries": []}
    api.world.forge.write(api.world.project, "issue/1-test", "geometries_manifest.json", "{")
    broken = await api.refused(query, ref="issue/1-test")
    assert broken["code"] == "INVALID_MANIFEST"
    assert broken["where"]
    assert (await api.refused(query, ref="nowhere"))["code"] == "NOT_FOUND"


async def test_geometries_of_an_unknown_project_are_not_found(api: Api) -> None:
    assert (await api.refused('{ geometries(projectPath: "no/such") { key } }'))["code"] == "NOT_FOUND"

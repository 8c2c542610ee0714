from sagas.errors import RetryableError
from sagas.models import SagaStatus
from sagas.ports import AccessLevel
from schema import ids
from tests.app.api import Api, saga_id
from tests.world import COLLEAGUE, ENGINEER

ISSUES = """query ($first: Int, $after: String, $project: ID, $state: IssueState, $labels: [String!], $search: String) {
  issues(first: $first, after: $after, projectPath: $project, state: $state, labels: $labels, search: $search) {
    pageInfo { hasNextPage hasPreviousPage endCursor }
    edges { cursor node { id iid title projectPath state labels webUrl assignees { username } createdAt } } } }"""
ISSUE = """query ($iid: Int!) { issue(projectPath: "plant/unit", iid: $iid) {
  id iid title branch sagas { totalCount edges { node { id } } } } }"""


async def test_issues_are_those_of_the_viewer_newest_first_page_by_page(api: Api) -> None:
    forge, project = api.world.forge, api.world.project
    for number in range(5):
        forge.add_issue(project, f"Work {number}", assignees=(ENGINEER,))
    forge.add_issue(project, "Somebody else's", assignees=(COLLEAGUE,))
    titles, after = [], None
    while True:
        page = (await api.ask(ISSUES, first=2, after=after))["issues"]
        titles += [edge["node"]["title"] for edge in page["edges"]]
        assert page["pageInfo"]["hasPreviousPage"] == (after is not None)
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert titles == [f"Work {number}" for number in (4, 3, 2, 1, 0)]


async def test_issues_are_filtered(api: Api) -> None:
    forge, project = api.world.forge, api.world.project
    forge.add_issue(project, "Open one", assignees=(ENGINEER,), labels=("steam",))
    closed = forge.add_issue(project, "Closed one", assignees=(ENGINEER,))
    forge.close_issue(closed)

    async def titles(**asked: object) -> list[str]:
        page = (await api.ask(ISSUES, **asked))["issues"]  # type: ignore[arg-type]  # mixed
        return [edge["node"]["title"] for edge in page["edges"]]

    assert await titles() == ["Open one"]
    assert await titles(state="CLOSED") == ["Closed one"]
    assert len(await titles(state="ALL")) == 2
    assert await titles(labels=["steam"]) == ["Open one"]
    assert await titles(project="plant/unit") == ["Open one"]
    assert await titles(search="nothing like it") == []


async def test_issues_of_a_project_that_may_not_be_seen_are_not_found(api: Api) -> None:
    api.world.access.set(COLLEAGUE, api.world.project.id, AccessLevel.NONE)
    for project, token in (("no/such", "irina"), ("plant/unit", "pavel")):
        assert (await api.refused(ISSUES, token=token, project=project))["code"] == "NOT_FOUND"


async def test_a_cursor_that_is_none_of_ours_is_refused(api: Api) -> None:
    for cursor in ("x", "%%%", "aXNzdWU6eA=="):
        error = await api.refused(ISSUES, after=cursor)
        assert (error["code"], error["argument"]) == ("BAD_USER_INPUT", "after")


async def test_while_gitlab_is_away_issues_are_null_and_the_viewer_stands(api: Api) -> None:
    api.world.forge.fail_next("issues", RetryableError("GITLAB_UNAVAILABLE", "502 Bad Gateway"))
    answer = await api.post("{ viewer { username } issues { edges { cursor } } }")
    assert answer["data"] == {"viewer": {"username": "irina"}, "issues": None}
    assert answer["errors"][0]["extensions"]["code"] == "GITLAB_UNAVAILABLE"


async def test_an_issues_branch_is_the_one_that_a_start_would_take(api: Api) -> None:
    forge, project = api.world.forge, api.world.project
    forge.add_issue(project, "The first, whose branch is there already")
    issue = forge.add_issue(project, "Новые трубки конденсатора", assignees=(ENGINEER,))
    name = (await api.ask(ISSUE, iid=issue.iid))["issue"]["branch"]
    assert name.startswith(f"issue/{issue.iid}-novye-trubki")
    answer = await api.services.sagas.start_balance(ENGINEER, project_path="plant/unit", issue_iid=issue.iid)
    assert answer.saga.branch == name
    await api.world.reaches(answer.saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    shown = (await api.ask(ISSUE, iid=issue.iid))["issue"]
    assert shown["branch"] == name
    assert shown["sagas"] == {"totalCount": 1, "edges": [{"node": {"id": saga_id(answer.saga)}}]}
    other = forge.add_issue(project, "Two branches", assignees=(ENGINEER,))
    for suffix in ("a", "b"):
        forge.add_branch(project, f"issue/{other.iid}-{suffix}")
    assert (await api.ask(ISSUE, iid=other.iid))["issue"]["branch"] is None


async def test_an_issue_is_a_node_and_hidden_from_whoever_may_not_read(api: Api) -> None:
    issue = api.world.forge.add_issue(api.world.project, "One", assignees=(ENGINEER,))
    shown = (await api.ask(ISSUE, iid=issue.iid))["issue"]
    assert shown["id"] == ids.global_id(ids.ISSUE, api.world.project.id, issue.iid)
    query = "query ($id: ID!) { node(id: $id) { ... on Issue { title } } }"
    assert await api.ask(query, id=shown["id"]) == {"node": {"title": "One"}}
    api.world.access.set(COLLEAGUE, api.world.project.id, AccessLevel.NONE)
    assert await api.ask(query, token="pavel", id=shown["id"]) == {"node": None}
    assert await api.ask(ISSUE, token="pavel", iid=issue.iid) == {"issue": None}
    assert await api.ask(ISSUE, iid=999) == {"issue": None}


async def test_a_merge_request_is_a_node(api: Api) -> None:
    made = await api.services.sagas.create_merge_request(
        ENGINEER, project_path="plant/unit", source_branch="issue/1-test", title="Condenser"
    )
    given = ids.global_id(ids.MERGE_REQUEST, made.merge_request.project_id, made.merge_request.iid)
    query = "query ($id: ID!) { node(id: $id) { id ... on MergeRequest { title sourceBranch } } }"
    assert await api.ask(query, id=given) == {
        "node": {"id": given, "title": "Condenser", "sourceBranch": "issue/1-test"}
    }


async def test_gitlab_is_asked_for_an_issues_branches_once_however_often_they_are_named(api: Api) -> None:
    issue = api.world.forge.add_issue(api.world.project, "Twice", assignees=(ENGINEER,))
    query = """query ($iid: Int!) { issue(projectPath: "plant/unit", iid: $iid) { branch again: branch }
      issues { edges { node { branch } } } }"""
    found = await api.ask(query, iid=issue.iid)
    assert found["issue"]["branch"] == found["issue"]["again"] == found["issues"]["edges"][0]["node"]["branch"]
    assert api.world.forge.called("issue_branches") == 1

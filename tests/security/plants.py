"""Projects full of everything that the API can show, and the people who may see some of it."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from app.demo.sample import sample_files
from schema import ids
from tests.security.service import LiveService, let_in
from tests.support import eventually_sync
from tests.support_emulator import EmulatorProject, EmulatorUser

ROLES = {"guest": 10, "reporter": 20, "developer": 30, "maintainer": 40}
STEP = "AWAIT_USER_CONDENSER_INPUT"

_START = """mutation ($input: StartBalanceCalculationInput!) { startBalanceCalculation(input: $input) {
  saga { id branch } userErrors { code message } } }"""
_ADVANCE = "mutation ($input: AdvanceSagaInput!) { advanceSaga(input: $input) { userErrors { code message } } }"
_MERGE = """mutation ($input: CreateMergeRequestInput!) { createMergeRequest(input: $input) {
  mergeRequest { id } userErrors { code message } } }"""
_SAGA = """query ($id: ID!) { saga(id: $id) {
  state status pendingInput { draft } tasks { id } events(first: 1) { edges { node { id } } } } }"""


@dataclass(frozen=True, slots=True)
class Target:
    """One thing of each kind in one project, by the names that operations take; `word` is in the text of them all."""

    word: str
    path: str
    branch: str
    busy: str
    """A saga that waits for a worker: it has a task, and a merge request on its branch."""
    waiting: str
    """A saga that waits for its user's input."""
    event: str
    task: str
    merge_request: str
    issue: str
    issue_iid: int
    secret_issue: str
    secret_iid: int
    draft: Any = None

    @property
    def names(self) -> Mapping[str, str]:
        """What a client tells of the target and may so be told again, in the order in which to look for it."""
        told = ("busy", "waiting", "event", "task", "merge_request", "secret_issue", "issue", "path", "branch")
        return {str(getattr(self, name)): f"<{name}>" for name in told} | {
            bare(self.busy): "<busy>",
            bare(self.waiting): "<waiting>",
        }


def bare(global_id: str) -> str:
    """The key inside an id."""
    return base64.b64decode(global_id).decode().partition(":")[2]


NOTHING = Target(
    word="nothing",
    path="no-such-group/no-such-project",
    branch="issue/1-no-such-branch",
    busy=ids.global_id(ids.SAGA, uuid4()),
    waiting=ids.global_id(ids.SAGA, uuid4()),
    event=ids.global_id(ids.SAGA_EVENT, uuid4(), 1),
    task=ids.global_id(ids.CALCULATION_TASK, uuid4()),
    merge_request=ids.global_id(ids.MERGE_REQUEST, 987_654_321, 1),
    issue=ids.global_id(ids.ISSUE, 987_654_321, 1),
    issue_iid=1,
    secret_issue=ids.global_id(ids.ISSUE, 987_654_321, 2),
    secret_iid=2,
    draft={},
)
"""What never was, named as if it were."""


@dataclass(frozen=True, slots=True)
class Plant:
    """A project with sagas in it, and a token for each of its roles."""

    target: Target
    project: EmulatorProject
    tokens: Mapping[str, str]


def new_plant(
    service: LiveService,
    word: str,
    *,
    visibility: str = "private",
    token_of: Callable[[EmulatorUser], str] = lambda person: person.token,
) -> Plant:
    """A project whose developer has brought two sagas as far as they go without a worker, and opened a merge request."""
    gitlab = service.gitlab
    people = {role: gitlab.create_user(f"{word}-{role}-{uuid4().hex[:6]}") for role in ROLES}
    name = f"{word}-{uuid4().hex[:6]}"
    project = gitlab.create_project(
        name,
        files=sample_files(),
        members={person.id: ROLES[role] for role, person in people.items()},
        visibility=visibility,
    )
    let_in(service, project.id)
    tokens = {role: token_of(person) for role, person in people.items()}
    everybody = [person.id for person in people.values()]
    for title, told in (
        (f"Tubes of the {word}", {"assignee_ids": everybody}),
        (f"Secret of the {word}", {"confidential": True}),
        (f"Heaters of the {word}", {"assignee_ids": everybody}),
    ):
        gitlab.api("POST", f"/projects/{project.id}/issues", {"title": title, **told})
    developer = tokens["developer"]
    busy, waiting = (_started(service, developer, project.path, iid) for iid in (1, 3))
    draft = _waits(service, developer, busy["id"])
    given = {"sagaId": busy["id"], "step": STEP, "values": draft}
    assert service.ask(_ADVANCE, developer, input=given)["advanceSaga"]["userErrors"] == []
    waits_too = _waits(service, developer, waiting["id"])
    merge = service.ask(_MERGE, developer, input={"projectPath": project.path, "sourceBranch": busy["branch"]})
    saga = eventually_sync(lambda: _with_task(service, developer, busy["id"]), timeout=60)
    target = Target(
        word=word,
        path=project.path,
        branch=busy["branch"],
        busy=busy["id"],
        waiting=waiting["id"],
        event=saga["events"]["edges"][0]["node"]["id"],
        task=saga["tasks"][0]["id"],
        merge_request=merge["createMergeRequest"]["mergeRequest"]["id"],
        issue=ids.global_id(ids.ISSUE, project.id, 1),
        issue_iid=1,
        secret_issue=ids.global_id(ids.ISSUE, project.id, 2),
        secret_iid=2,
        draft=waits_too,
    )
    return Plant(target, project, tokens)


def _started(service: LiveService, token: str, path: str, iid: int) -> dict[str, Any]:
    payload = service.ask(_START, token, input={"projectPath": path, "issueIid": iid})["startBalanceCalculation"]
    assert payload["userErrors"] == [], payload
    saga: dict[str, Any] = payload["saga"]
    return saga


def _waits(service: LiveService, token: str, saga: str) -> Any:
    def draft() -> Any:
        pending = service.ask(_SAGA, token, id=saga)["saga"]["pendingInput"]
        return pending and pending["draft"]

    return eventually_sync(draft, timeout=60, what="the form")


def _with_task(service: LiveService, token: str, saga: str) -> dict[str, Any]:
    found: dict[str, Any] = service.ask(_SAGA, token, id=saga)["saga"]
    assert found["status"] == "AWAITING_RESULT", found
    assert found["tasks"]
    return found

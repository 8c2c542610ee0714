"""A real server does the work and loses the answer: the facade sends nothing twice, and what was done is found again."""

import re
from collections.abc import Iterator, Mapping

import pytest

from gitlab_facade import GitLabFacade
from sagas.errors import RetryableError, TerminalError, UnknownOutcomeError
from sagas.ids import CommitSha, ProjectId
from sagas.ports import ChangeKind, FileChange, Project
from tests.contract.server_world import ServerWorld
from tests.support_emulator import Emulator

BRANCH = "issue/7-condenser"
TRAILERS = {"Saga-Id": "5a1d9c1e", "Saga-Step": "COMMIT_CONDENSER_INPUT/1"}
MESSAGE = "Save the condenser's input\n\nSaga-Id: 5a1d9c1e\nSaga-Step: COMMIT_CONDENSER_INPUT/1"
CREATE = FileChange(ChangeKind.CREATE, "condenser_input.json", "{}\n")

ANSWER_LOST = {"drop": "after"}
ANSWER_SPOILT = {"drop": "after", "status": 502}
REQUEST_LOST = {"drop": "before"}


class Control:
    """The emulator's levers for one project: what goes wrong, and what really arrived."""

    def __init__(self, emulator: Emulator, project: ProjectId) -> None:
        self._emulator, self._prefix = emulator, f"/api/v4/projects/{project}/"

    def break_next(self, method: str, path: str, fault: Mapping[str, object], *, times: int = 1) -> None:
        pattern = "^" + re.escape(self._prefix + path) + r"(\?|$)"
        self._emulator.faults(method=method, path=pattern, times=times, **fault)

    def arrived(self, method: str, path: str) -> int:
        wanted = (method, self._prefix + path)
        return sum((entry["method"], entry["path"]) == wanted for entry in self._emulator.requests_seen())


@pytest.fixture
def project(server_world: ServerWorld) -> Project:
    return server_world.add_project({"balance_input.json": "{}\n"})


@pytest.fixture
def control(emulator: Emulator, project: Project) -> Iterator[Control]:
    yield Control(emulator, project.id)
    emulator.clear_faults()


@pytest.fixture
async def head(server_world: ServerWorld, project: Project) -> CommitSha:
    return (await server_world.forge.create_branch(project.id, BRANCH, ref="main")).head


async def _commit(forge: GitLabFacade, project: Project) -> CommitSha:
    return (await forge.create_commit(project.id, BRANCH, [CREATE], message=MESSAGE)).sha


async def _own(forge: GitLabFacade, project: Project, head: CommitSha) -> CommitSha | None:
    found = await forge.find_own_commit(project.id, branch=BRANCH, since=head, path=CREATE.path, trailers=TRAILERS)
    return found.sha if found else None


@pytest.mark.parametrize("fault", [ANSWER_LOST, ANSWER_SPOILT])
async def test_a_commit_whose_answer_was_lost_is_sent_once_and_found_again(
    server_world: ServerWorld, project: Project, head: CommitSha, control: Control, fault: Mapping[str, object]
) -> None:
    forge = server_world.forge
    control.break_next("POST", "repository/commits", fault)
    with pytest.raises(UnknownOutcomeError):
        await _commit(forge, project)
    assert control.arrived("POST", "repository/commits") == 2, "the project's first commit and this one"
    branch = await forge.branch(project.id, BRANCH)
    assert branch is not None
    assert await _own(forge, project, head) == branch.head
    with pytest.raises(TerminalError) as caught:
        await _commit(forge, project)
    assert caught.value.code == "GITLAB_CONFLICT"
    assert len(await forge.commits(project.id, branch=BRANCH, since=head, path=None)) == 1


@pytest.mark.parametrize("fault", [REQUEST_LOST, {"status": 503}])
async def test_a_commit_that_never_happened_is_not_found_and_can_be_made(
    server_world: ServerWorld, project: Project, head: CommitSha, control: Control, fault: Mapping[str, object]
) -> None:
    forge = server_world.forge
    control.break_next("POST", "repository/commits", fault)
    with pytest.raises(UnknownOutcomeError):
        await _commit(forge, project)
    assert await _own(forge, project, head) is None
    made = await _commit(forge, project)
    assert await _own(forge, project, head) == made


async def test_a_branch_whose_answer_was_lost_is_there_the_second_time(
    server_world: ServerWorld, project: Project, control: Control
) -> None:
    forge = server_world.forge
    control.break_next("POST", "repository/branches", ANSWER_LOST)
    with pytest.raises(UnknownOutcomeError):
        await forge.create_branch(project.id, BRANCH, ref="main")
    assert control.arrived("POST", "repository/branches") == 1
    assert (await forge.create_branch(project.id, BRANCH, ref="main")).name == BRANCH
    assert len(await forge.issue_branches(project.id, 7)) == 1


async def test_a_merge_request_whose_answer_was_lost_is_opened_once(
    server_world: ServerWorld, project: Project, head: CommitSha, control: Control
) -> None:
    forge = server_world.forge

    async def open_it() -> int:
        mr = await forge.create_merge_request(
            project.id, source_branch=BRANCH, target_branch="main", title="Balance", description="<!-- saga:1 -->"
        )
        return mr.iid

    control.break_next("POST", "merge_requests", ANSWER_LOST)
    with pytest.raises(UnknownOutcomeError):
        await open_it()
    assert control.arrived("POST", "merge_requests") == 1
    number = await open_it()
    assert [mr.iid for mr in await forge.merge_requests(project.id, source_branch=BRANCH)] == [number]


async def test_a_deletion_whose_answer_was_lost_is_success_the_second_time(
    server_world: ServerWorld, project: Project, head: CommitSha, control: Control
) -> None:
    control.break_next("DELETE", f"repository/branches/{BRANCH.replace('/', '%2F')}", ANSWER_LOST)
    with pytest.raises(UnknownOutcomeError):
        await server_world.forge.delete_branch(project.id, BRANCH)
    await server_world.forge.delete_branch(project.id, BRANCH)
    assert await server_world.forge.branch(project.id, BRANCH) is None


async def test_a_throttled_write_did_not_happen_and_tells_when_to_come_back(
    server_world: ServerWorld, project: Project, head: CommitSha, control: Control
) -> None:
    control.break_next("POST", "repository/commits", {"status": 429, "retry_after": 2})
    with pytest.raises(RetryableError) as caught:
        await _commit(server_world.forge, project)
    assert type(caught.value) is RetryableError
    assert caught.value.retry_after == 2
    assert await _own(server_world.forge, project, head) is None


async def test_a_read_over_a_cut_connection_is_asked_twice_and_no_more(
    server_world: ServerWorld, project: Project, head: CommitSha, control: Control
) -> None:
    path = "repository/branches/main"
    before = control.arrived("GET", path)
    control.break_next("GET", path, REQUEST_LOST)
    assert await server_world.forge.branch(project.id, "main") is not None
    assert control.arrived("GET", path) == before + 2
    control.break_next("GET", path, REQUEST_LOST, times=5)
    with pytest.raises(RetryableError):
        await server_world.forge.branch(project.id, "main")
    assert control.arrived("GET", path) == before + 4

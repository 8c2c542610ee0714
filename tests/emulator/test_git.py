"""git itself: clone, fetch, push, and what refuses a push."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import gitlab
import pytest
from gitlab.v4.objects import Project

from tests.emulator.conftest import Connect
from tests.support_emulator import Emulator, EmulatorProject, EmulatorUser

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Worker",
    "GIT_AUTHOR_EMAIL": "worker@plant.example",
    "GIT_COMMITTER_NAME": "Worker",
    "GIT_COMMITTER_EMAIL": "worker@plant.example",
    "LC_ALL": "C",
}


def git(folder: Path, *arguments: str, fails: bool = False) -> str:
    """Both outputs of a git command, which must succeed, or must not."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
    )
    said = done.stdout + done.stderr
    assert (done.returncode != 0) is fails, said
    return said


def address(project: EmulatorProject, token: str) -> str:
    return project.git_url.replace("http://", f"http://oauth2:{token}@")


def clone(folder: Path, project: EmulatorProject, token: str, options: Sequence[str] = ()) -> Path:
    git(folder, *options, "clone", "-q", address(project, token), "work")
    return folder / "work"


def write(folder: Path, path: str, text: str, message: str = "Write") -> str:
    (folder / path).write_text(text)
    git(folder, "add", path)
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD").strip()


@pytest.mark.parametrize("version", ["0", "2"])
def test_clone_fetch_and_push_work_in_both_protocols(
    emulator: Emulator, project: Project, plant: EmulatorProject, developer: EmulatorUser, tmp_path: Path, version: str
) -> None:
    protocol = ("-c", f"protocol.version={version}")
    work = clone(tmp_path, plant, developer.token, protocol)
    assert (work / "balance_input.json").read_text() == '{\n  "power": 300\n}\n'
    made = emulator.commit(plant.id, "api", {"x": "x\n"}, start_branch="main", message="By the API\n\nSaga-Id: 1")
    git(work, *protocol, "fetch", "-q", "origin")
    assert git(work, "log", "-1", "--format=%H %(trailers:key=Saga-Id,valueonly)", "origin/api").split() == [made, "1"]
    pushed = write(work, "result.json", "{}\n", "Result\n\nCorrelation-Id: abc")
    git(work, *protocol, "push", "-q", "origin", "HEAD:refs/heads/result")
    commit = project.commits.get("result")
    assert (commit.id, commit.author_name, commit.trailers) == (pushed, "Worker", {"Correlation-Id": "abc"})


def test_a_large_push_arrives_whole(
    emulator: Emulator, plant: EmulatorProject, developer: EmulatorUser, tmp_path: Path
) -> None:
    work = clone(tmp_path, plant, developer.token)
    data = os.urandom(5_000_000)
    (work / "big.bin").write_bytes(data)
    git(work, "add", "big.bin")
    git(work, "commit", "-q", "-m", "Big")
    git(work, "push", "-q", "origin", "HEAD:refs/heads/big")
    again = tmp_path / "again"
    again.mkdir()
    git(again, "clone", "-q", "--branch", "big", "--depth", "1", address(plant, developer.token), "work")
    assert (again / "work" / "big.bin").read_bytes() == data


def test_the_first_commit_of_an_empty_repository_comes_by_push_files_or_commits(
    emulator: Emulator, tmp_path: Path
) -> None:
    client = gitlab.Gitlab(emulator.url, private_token=emulator.admin_token)
    by_files, by_commits, by_push = (client.projects.create({"name": f"empty-{n}-{os.getpid()}"}) for n in range(3))
    assert (by_files.empty_repo, by_files.default_branch) == (True, None)
    by_files.files.create({"file_path": "a", "branch": "main", "content": "a", "commit_message": "First"})
    actions = [{"action": "create", "file_path": "a", "content": "a"}]
    by_commits.commits.create({"branch": "main", "commit_message": "First", "actions": actions})
    git(tmp_path, "init", "-q", "--initial-branch=trunk")
    write(tmp_path, "a", "a")
    target = EmulatorProject(by_push.id, "", by_push.http_url_to_repo, None)
    git(tmp_path, "push", "-q", address(target, emulator.admin_token), "trunk")
    for project, branch in ((by_files, "main"), (by_commits, "main"), (by_push, "trunk")):
        now = client.projects.get(project.id)
        assert (now.empty_repo, now.default_branch) == (False, branch)
        assert now.files.raw("a", ref=branch) == b"a"
        assert [one.name for one in now.protectedbranches.list(get_all=True)] == [branch]


def test_without_credentials_git_is_asked_for_them(plant: EmulatorProject, tmp_path: Path) -> None:
    assert "could not read Username" in git(tmp_path, "clone", plant.git_url, fails=True)
    wrong = git(tmp_path, "clone", address(plant, "wrong"), fails=True)
    assert "HTTP Basic: Access denied." in wrong
    assert not list(tmp_path.iterdir())


def test_a_stranger_finds_no_project_and_a_reporter_may_not_push(
    emulator: Emulator, plant: EmulatorProject, tmp_path: Path
) -> None:
    stranger, reporter = emulator.create_user(), emulator.create_user()
    emulator.add_member(plant.id, reporter.id, 20)
    said = git(tmp_path, "clone", address(plant, stranger.token), fails=True)
    assert "The project you were looking for could not be found or you don't have permission to view it." in said
    work = clone(tmp_path, plant, reporter.token)
    write(work, "x", "x")
    said = git(work, "push", "origin", "HEAD:refs/heads/x", fails=True)
    assert "You are not allowed to push code to this project." in said
    assert [one["name"] for one in emulator.api("GET", f"/projects/{plant.id}/repository/branches")] == ["main"]


def test_a_read_only_token_clones_and_does_not_push(
    emulator: Emulator, plant: EmulatorProject, developer: EmulatorUser, tmp_path: Path
) -> None:
    work = clone(tmp_path, plant, emulator.create_token(developer.id, scopes=["read_repository"]))
    write(work, "x", "x")
    assert "You are not allowed to upload code." in git(work, "push", "origin", "HEAD:refs/heads/x", fails=True)
    writer = emulator.create_token(developer.id, scopes=["write_repository"])
    git(work, "push", "-q", address(plant, writer), "HEAD:refs/heads/x")
    assert emulator.read_file(plant.id, "x", "x") == "x"


def test_protected_and_default_branches_refuse_in_gitlabs_words(
    emulator: Emulator, plant: EmulatorProject, developer: EmulatorUser, tmp_path: Path
) -> None:
    maintainer = emulator.create_user()
    emulator.add_member(plant.id, maintainer.id, 40)
    emulator.api("POST", f"/projects/{plant.id}/protected_branches", {"name": "*-stable"})
    emulator.commit(plant.id, "one-stable", {"s": "s"}, start_branch="main")
    work = clone(tmp_path, plant, developer.token)
    before = emulator.api("GET", f"/projects/{plant.id}/repository/branches")

    def refused(user: EmulatorUser, *refspec: str) -> str:
        said = git(work, "push", address(plant, user.token), *refspec, fails=True)
        assert "(pre-receive hook declined)" in said
        return said

    write(work, "x", "x")
    text = "remote: GitLab: You are not allowed to push code to protected branches on this project."
    assert text in refused(developer, "HEAD:main")
    text = "You are not allowed to create protected branches on this project."
    assert text in refused(developer, "HEAD:refs/heads/two-stable")
    text = "Only a project maintainer or owner can delete a protected branch."
    assert text in refused(developer, ":one-stable")
    assert "The default branch of a project cannot be deleted." in refused(maintainer, ":main")
    text = "You can only delete protected branches using the web interface."
    assert text in refused(maintainer, ":one-stable")
    git(work, "commit", "-q", "--amend", "-m", "Another root")
    git(work, "checkout", "-q", "--orphan", "other")
    git(work, "commit", "-q", "-m", "No common history")
    text = "You are not allowed to force push code to a protected branch on this project."
    assert text in refused(maintainer, "--force", "other:main")
    text = "You cannot create a branch with a 40-character hexadecimal branch name."
    assert text in refused(developer, f"other:refs/heads/{'a' * 40}")
    assert emulator.api("GET", f"/projects/{plant.id}/repository/branches") == before


def test_one_refused_branch_refuses_the_whole_push(
    emulator: Emulator, plant: EmulatorProject, developer: EmulatorUser, tmp_path: Path
) -> None:
    work = clone(tmp_path, plant, developer.token)
    write(work, "x", "x")
    git(work, "push", "origin", "HEAD:refs/heads/fine", "HEAD:main", fails=True)
    assert [one["name"] for one in emulator.api("GET", f"/projects/{plant.id}/repository/branches")] == ["main"]


def test_a_force_push_on_an_open_branch_is_allowed_and_seen_at_once(
    emulator: Emulator, plant: EmulatorProject, developer: EmulatorUser, tmp_path: Path
) -> None:
    emulator.commit(plant.id, "open", {"o": "o"}, start_branch="main")
    work = clone(tmp_path, plant, developer.token)
    rewritten = write(work, "p", "p")
    stale = git(work, "push", "origin", "HEAD:open", fails=True)
    assert "rejected" in stale
    git(work, "push", "-q", "--force", "origin", "HEAD:open")
    found = emulator.api("GET", f"/projects/{plant.id}/repository/branches/open")
    assert found["commit"]["id"] == rewritten
    assert emulator.read_file(plant.id, "o", "open") is None


def test_an_api_commit_and_a_push_of_the_same_branch_never_lose_each_other(
    emulator: Emulator, plant: EmulatorProject, developer: EmulatorUser, connect: Connect, tmp_path: Path
) -> None:
    emulator.commit(plant.id, "shared", {"a": "0"}, start_branch="main")
    work = clone(tmp_path, plant, developer.token)
    git(work, "checkout", "-q", "shared")
    write(work, "b", "1")
    made = emulator.commit(plant.id, "shared", {"a": "1"})
    assert "rejected" in git(work, "push", "origin", "shared", fails=True)
    git(work, "pull", "-q", "--rebase", "origin", "shared")
    git(work, "push", "-q", "origin", "shared")
    ids = [one.id for one in connect(developer).projects.get(plant.id).commits.list(ref_name="shared", get_all=True)]
    assert made in ids
    assert emulator.read_file(plant.id, "b", "shared") == "1"

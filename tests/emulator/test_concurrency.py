"""Races, and kill -9."""

import contextlib
import random
import sqlite3
import subprocess
import threading
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

import gitlab
import pytest
import requests

from tests.support import eventually_sync
from tests.support_emulator import Emulator, EmulatorProject, free_port, start_emulator


def test_commits_on_one_branch_serialise_or_fail_and_none_is_lost(emulator: Emulator, plant: EmulatorProject) -> None:
    """Twenty writers of one branch: every accepted commit is in its history, in one line."""

    def write(number: int) -> str | None:
        answer = requests.post(
            f"{emulator.url}/api/v4/projects/{plant.id}/repository/commits",
            json={
                "branch": "main",
                "commit_message": f"Write {number}",
                "actions": [{"action": "create", "file_path": f"file-{number}", "content": str(number)}],
            },
            headers={"PRIVATE-TOKEN": emulator.admin_token},
            timeout=60,
        )
        if answer.status_code == 201:
            return str(answer.json()["id"])
        assert answer.status_code == 400
        assert answer.json()["message"] == "Could not update refs/heads/main. Please refresh and try again."
        return None

    with ThreadPoolExecutor(8) as pool:
        accepted = [commit for commit in pool.map(write, range(20)) if commit]
    assert accepted
    client = gitlab.Gitlab(emulator.url, private_token=emulator.admin_token)
    history = client.projects.get(plant.id).commits.list(ref_name="main", get_all=True)
    assert set(accepted) <= {one.id for one in history}
    assert len(history) == len(accepted) + 1
    assert all(len(one.parent_ids) <= 1 for one in history)
    names = {one["name"] for one in client.projects.get(plant.id).repository_tree(get_all=True)}
    assert sum(name.startswith("file-") for name in names) == len(accepted)


def test_of_two_creations_of_one_file_one_is_refused(emulator: Emulator, plant: EmulatorProject) -> None:
    barrier = threading.Barrier(2)

    def create(text: str) -> int:
        barrier.wait(timeout=20)
        body = {"branch": "main", "commit_message": "x", "content": text}
        address = f"{emulator.url}/api/v4/projects/{plant.id}/repository/files/only-once"
        return requests.post(
            address, json=body, headers={"PRIVATE-TOKEN": emulator.admin_token}, timeout=60
        ).status_code

    with ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(create, ("a", "b")))
    assert sorted(statuses) == [201, 400]


def test_of_two_merge_requests_for_one_branch_one_is_409(emulator: Emulator, plant: EmulatorProject) -> None:
    emulator.commit(plant.id, "source", {"s": "s"}, start_branch="main")
    body = {"source_branch": "source", "target_branch": "main", "title": "One"}

    def create(_: int) -> int:
        address = f"{emulator.url}/api/v4/projects/{plant.id}/merge_requests"
        return requests.post(
            address, json=body, headers={"PRIVATE-TOKEN": emulator.admin_token}, timeout=60
        ).status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(create, range(4)))
    assert sorted(statuses) == [201, 409, 409, 409]
    assert len(emulator.api("GET", f"/projects/{plant.id}/merge_requests")) == 1


def test_reads_do_not_wait_behind_writes(troubled: Emulator) -> None:
    """More writers than threads for them stand still; reads go on."""
    project = troubled.create_project(files={"a": "a"})
    with contextlib.closing(sqlite3.connect(troubled.data_dir / "gitlab.sqlite3", isolation_level=None)) as other:
        with ThreadPoolExecutor(20) as pool:
            other.execute("BEGIN IMMEDIATE")
            try:
                titles = [{"title": f"Issue {number}"} for number in range(20)]
                path = f"/projects/{project.id}/issues"
                writes = [pool.submit(troubled.api, "POST", path, title) for title in titles]
                for _ in range(20):
                    assert troubled.read_file(project.id, "a") == "a"
                assert not any(write.done() for write in writes)
            finally:
                other.execute("ROLLBACK")
            made = {write.result(timeout=40)["iid"] for write in writes}
    assert made == set(range(1, 21))


@pytest.mark.crash
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kill_9_loses_nothing_acknowledged_and_leaves_repositories_intact(tmp_path: Path, seed: int) -> None:
    """Writers run while the process is killed; afterwards every acknowledged commit, issue and branch is there."""
    data, port = tmp_path / "data", free_port()
    commits: list[str] = []
    issues: list[int] = []
    stop = threading.Event()

    def write(emulator: Emulator, project: EmulatorProject, worker: int) -> None:
        for number in range(10_000):
            if stop.is_set():
                return
            files = {f"w{worker}/{number}": str(number)}
            with contextlib.suppress(OSError, HTTPException, urllib.error.URLError):
                commits.append(emulator.commit(project.id, f"branch-{worker}", files))
                title = {"title": f"Issue {worker} {number}"}
                issues.append(emulator.api("POST", f"/projects/{project.id}/issues", title)["iid"])

    with start_emulator(data, port=port) as emulator:
        project = emulator.create_project(files={"a": "a"})
        for worker in range(3):
            emulator.api(
                "POST", f"/projects/{project.id}/repository/branches", {"branch": f"branch-{worker}", "ref": "main"}
            )
        threads = [threading.Thread(target=write, args=(emulator, project, worker)) for worker in range(3)]
        for thread in threads:
            thread.start()
        wanted = random.Random(seed).randrange(5, 25)
        eventually_sync(lambda: len(commits) >= wanted, timeout=30)
        emulator.kill()
        stop.set()
        for thread in threads:
            thread.join(timeout=30)

    with start_emulator(data, port=port) as emulator:
        repository = data / "repositories" / f"{project.id}.git"
        check = subprocess.run(
            ["git", "--git-dir", repository, "fsck", "--full"], capture_output=True, text=True, check=False
        )
        assert check.returncode == 0, check.stderr
        for commit in commits:
            contained = emulator.api("GET", f"/projects/{project.id}/repository/commits/{commit}/refs?type=branch")
            assert contained, f"commit {commit} was acknowledged and is on no branch"
        client = gitlab.Gitlab(emulator.url, private_token=emulator.admin_token)
        known = {one.iid for one in client.projects.get(project.id).issues.list(get_all=True)}
        assert set(issues) <= known
        assert emulator.commit(project.id, "branch-0", {"after": "the kill"})

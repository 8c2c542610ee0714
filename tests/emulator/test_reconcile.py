"""What a killed process left undone is settled at the next start; refs are the truth."""

import contextlib
import os
import random
import subprocess
import threading
import time
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.support import eventually_sync
from tests.support_emulator import Emulator, free_port, start_emulator


def git(data: Path, project_id: int, *arguments: str) -> str:
    command = ["git", "--git-dir", str(data / "repositories" / f"{project_id}.git"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def open_request(emulator: Emulator, project_id: int, branch: str) -> int:
    emulator.commit(project_id, branch, {branch: "x"}, start_branch="main")
    body = {"source_branch": branch, "target_branch": "main", "title": branch}
    return int(emulator.api("POST", f"/projects/{project_id}/merge_requests", body)["iid"])


def test_merge_requests_follow_refs_that_moved_without_a_record(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with start_emulator(data) as emulator:
        project = emulator.create_project(files={"a": "a"})
        merged, closed, moved, quiet = (
            open_request(emulator, project.id, name) for name in ("merged", "closed", "moved", "quiet")
        )
        emulator.kill()
    git(data, project.id, "update-ref", "refs/heads/main", "refs/heads/merged")
    git(data, project.id, "update-ref", "-d", "refs/heads/closed")
    git(data, project.id, "update-ref", "refs/heads/moved", "refs/heads/quiet")
    with start_emulator(data) as emulator:
        found = {one["iid"]: one for one in emulator.api("GET", f"/projects/{project.id}/merge_requests")}
        assert {iid: one["state"] for iid, one in found.items()} == {
            merged: "merged",
            closed: "closed",
            moved: "opened",
            quiet: "opened",
        }
        assert found[moved]["sha"] == git(data, project.id, "rev-parse", "quiet")


def test_a_lock_of_a_killed_git_does_not_block_a_branch_for_ever(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with start_emulator(data) as emulator:
        project = emulator.create_project(files={"a": "a"})
        lock = data / "repositories" / f"{project.id}.git" / "refs" / "heads" / "main.lock"
        lock.touch()
        os.utime(lock, (time.time() - 60, time.time() - 60))
        assert emulator.commit(project.id, "main", {"a": "b"})
        assert not lock.exists()
        emulator.kill()
    lock.touch()
    os.utime(lock, (time.time() - 60, time.time() - 60))
    with start_emulator(data):
        assert not lock.exists()


@pytest.mark.crash
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_after_kill_9_a_merge_request_is_merged_exactly_when_its_commits_are(tmp_path: Path, seed: int) -> None:
    """Merges run while the process is killed; the target branch and the records agree afterwards."""
    data, port = tmp_path / "data", free_port()
    acknowledged: list[int] = []

    def merge_all(emulator: Emulator, project_id: int, requests: list[int]) -> None:
        for iid in requests:
            with contextlib.suppress(OSError, HTTPException):
                emulator.api("PUT", f"/projects/{project_id}/merge_requests/{iid}/merge")
                acknowledged.append(iid)

    with start_emulator(data, port=port) as emulator:
        project = emulator.create_project(files={"a": "a"})
        requests = [open_request(emulator, project.id, f"branch-{number}") for number in range(12)]
        merging = threading.Thread(target=merge_all, args=(emulator, project.id, requests))
        merging.start()
        eventually_sync(lambda: len(acknowledged) >= 3, timeout=30)
        time.sleep(random.Random(seed).random() / 20)
        emulator.kill()
        merging.join(timeout=60)
    with start_emulator(data, port=port) as emulator:
        git(data, project.id, "fsck", "--full")
        found = emulator.api("GET", f"/projects/{project.id}/merge_requests?per_page=100")
        states = {one["iid"]: one["state"] for one in found}
        on_main = git(data, project.id, "rev-list", "main").split()
        assert {one["iid"] for one in found if one["sha"] in on_main} == {
            iid for iid, state in states.items() if state == "merged"
        }
        assert set(states.values()) <= {"merged", "opened"}
        assert {states[iid] for iid in acknowledged} == {"merged"}
        assert all(one["merge_commit_sha"] in on_main for one in found if one["state"] == "merged")
        left = next(iid for iid, state in states.items() if state == "opened")
        emulator.api("PUT", f"/projects/{project.id}/merge_requests/{left}/merge")

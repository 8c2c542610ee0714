"""The worker against the embedded GitLab: what it pushes is what GitLab's API shows, with its rules kept."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest

from app.demo.sample import sample_files
from app.demo.worker import perform as perform_module
from app.demo.worker.errors import CalculationFailed
from app.demo.worker.perform import perform
from app.demo.worker.settings import WorkerSettings
from tests.support_emulator import Emulator, EmulatorProject, EmulatorUser, start_emulator
from tests.worker.repositories import CONDENSER_INPUT

BRANCH = "issue/1-летний-режим"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with start_emulator(tmp_path_factory.mktemp("gitlab")) as emulator:
        yield emulator


@pytest.fixture
def robot(emulator: Emulator) -> EmulatorUser:
    return emulator.create_user(scopes=("read_repository", "write_repository"))


@pytest.fixture
def project(emulator: Emulator, robot: EmulatorUser) -> EmulatorProject:
    project = emulator.create_project(files=sample_files(), members={robot.id: 30})
    emulator.commit(project.id, BRANCH, {"condenser_input.json": json.dumps(CONDENSER_INPUT)}, start_branch="main")
    return project


@pytest.fixture
def settings(
    tmp_path: Path, emulator: Emulator, robot: EmulatorUser, monkeypatch: pytest.MonkeyPatch
) -> WorkerSettings:
    monkeypatch.setattr(perform_module, "FIRST_PAUSE", 0.05)
    return WorkerSettings(
        broker_url="memory://",
        result_backend="cache+memory://",
        gitlab_token=robot.token,
        work_dir=tmp_path / "clones",
        gitlab_url=emulator.url,
        retry_for=timedelta(seconds=20),
    )


def head(emulator: Emulator, project: EmulatorProject) -> str:
    branch = emulator.api("GET", f"/projects/{project.id}/repository/branches/{quote(BRANCH, safe='')}")
    return str(branch["commit"]["id"])


def message(emulator: Emulator, project: EmulatorProject, **changed: object) -> dict[str, object]:
    return {
        "correlationId": str(uuid4()),
        "repoUrl": project.git_url,
        "branch": BRANCH,
        "commitHash": head(emulator, project),
        "input_files": ["condenser_input.json", "geometries_manifest.json"],
        "output_file": "condenser_output.json",
    } | changed


def commits(emulator: Emulator, project: EmulatorProject) -> list[dict[str, object]]:
    found: list[dict[str, object]] = emulator.api(
        "GET",
        f"/projects/{project.id}/repository/commits?ref_name={quote(BRANCH, safe='')}"
        "&path=condenser_output.json&trailers=true",
    )
    return found


def test_gitlab_shows_the_workers_commit_with_its_trailer(
    emulator: Emulator, project: EmulatorProject, settings: WorkerSettings
) -> None:
    task = message(emulator, project)
    result = perform("condenser", task, settings)

    shown = commits(emulator, project)
    assert [commit["id"] for commit in shown] == [result["commit"]]
    assert shown[0]["trailers"] == {"Correlation-Id": task["correlationId"]}
    file = emulator.api(
        "GET",
        f"/projects/{project.id}/repository/files/condenser_output.json?ref={quote(BRANCH, safe='')}",
    )
    assert file["blob_id"] == result["outputBlob"]


def test_a_push_whose_answer_gitlab_lost_is_found(
    emulator: Emulator, project: EmulatorProject, settings: WorkerSettings
) -> None:
    emulator.faults(method="POST", path=rf"{project.path}\.git/git-receive-pack$", drop="after", times=1)
    task = message(emulator, project)
    try:
        result = perform("condenser", task, settings)
        again = perform("condenser", task, settings)
    finally:
        emulator.clear_faults()

    assert again == result
    pushes = [seen for seen in emulator.requests_seen() if seen["path"] == f"/{project.path}.git/git-receive-pack"]
    # curl may send a request again that lost its connection; GitLab then refuses the doubled update.
    assert pushes[0]["status"] is None
    assert [commit["id"] for commit in commits(emulator, project)] == [result["commit"]]


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": "before"}], ids=["503", "dropped"])
def test_a_gitlab_that_stumbles_gets_the_result_all_the_same(
    emulator: Emulator, project: EmulatorProject, settings: WorkerSettings, fault: dict[str, object]
) -> None:
    task = message(emulator, project)
    emulator.faults(path=rf"{project.path}\.git/", times=3, **fault)
    try:
        result = perform("condenser", task, settings)
    finally:
        emulator.clear_faults()
    assert [commit["id"] for commit in commits(emulator, project)] == [result["commit"]]


def test_an_engineers_commit_in_between_is_kept(
    emulator: Emulator, project: EmulatorProject, settings: WorkerSettings
) -> None:
    task = message(emulator, project)
    emulator.commit(project.id, BRANCH, {"notes.md": "Warm today.\n"}, message="Note")
    perform("condenser", task, settings)
    assert emulator.read_file(project.id, "notes.md", BRANCH) == "Warm today.\n"


def test_a_protected_branch_fails_with_gitlabs_words(
    emulator: Emulator, project: EmulatorProject, settings: WorkerSettings
) -> None:
    task = message(emulator, project, branch="main")
    before = emulator.api("GET", f"/projects/{project.id}/repository/branches/main")["commit"]["id"]
    with pytest.raises(CalculationFailed, match="not allowed to push code to protected branches"):
        perform("condenser", task, settings)
    assert emulator.api("GET", f"/projects/{project.id}/repository/branches/main")["commit"]["id"] == before


def test_without_the_right_to_push_nothing_is_pushed(
    emulator: Emulator, project: EmulatorProject, settings: WorkerSettings, robot: EmulatorUser
) -> None:
    emulator.api("PUT", f"/projects/{project.id}/members/{robot.id}", {"access_level": 20})
    task = message(emulator, project)
    with pytest.raises(CalculationFailed, match="not allowed to push"):
        perform("condenser", task, settings)
    assert commits(emulator, project) == []


def test_a_project_that_the_worker_may_not_see_is_not_there_for_it(
    emulator: Emulator, settings: WorkerSettings
) -> None:
    other = emulator.create_project(files=sample_files())
    task = {
        "correlationId": str(uuid4()),
        "repoUrl": other.git_url,
        "branch": "main",
        "commitHash": "0" * 40,
        "input_files": ["balance_input.json"],
        "output_file": "condenser_output.json",
    }
    with pytest.raises(CalculationFailed, match="not found"):
        perform("condenser", task, settings)

"""What a worker promises about one task: FR-ORCH-1's results, NF-ORCH-2's idempotency, NF-ORCH-3's consistency."""

import json
import logging
import os
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from app.demo.worker import perform as perform_module
from app.demo.worker.errors import CalculationFailed, GitUnavailable, PushRefused
from app.demo.worker.git import Git
from app.demo.worker.perform import perform, remove_leftovers
from app.demo.worker.repository import Pushed, Repository
from app.demo.worker.settings import WorkerSettings
from tests.worker.repositories import BRANCH, Origin, condenser_message, git, make_origin

TOKEN = "glpat-very-secret-token"


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return make_origin(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    return WorkerSettings(
        broker_url="memory://",
        result_backend="cache+memory://",
        gitlab_token=TOKEN,
        work_dir=tmp_path / "clones",
        gitlab_url=f"file://{tmp_path}",
        retry_for=timedelta(seconds=2),
        protocols=("http", "https", "file"),
    )


def test_the_result_is_one_commit_of_one_file_with_the_correlation_id(origin: Origin, settings: WorkerSettings) -> None:
    message = condenser_message(origin)
    before = origin.head()

    result = perform("condenser", message, settings)

    assert origin.commits_since(before) == [result["commit"]] == [origin.head()]
    assert origin.changed_files(origin.head()) == ["condenser_output.json"]
    assert origin.trailer(origin.head()) == message["correlationId"] == result["correlationId"]
    assert git(origin.path, "rev-parse", f"{BRANCH}:condenser_output.json") == result["outputBlob"]
    assert (result["outputFile"], result["unchanged"]) == ("condenser_output.json", False)


def test_the_output_is_utf8_json_with_two_spaces_and_a_final_newline(origin: Origin, settings: WorkerSettings) -> None:
    result = perform("condenser", condenser_message(origin), settings)

    raw = git(origin.path, "cat-file", "blob", result["outputBlob"]) + "\n"
    assert raw == json.dumps(json.loads(raw), ensure_ascii=False, indent=2) + "\n"
    assert int(git(origin.path, "cat-file", "-s", result["outputBlob"])) == len(raw.encode())
    assert 4 < json.loads(raw)["pressure_kpa"] < 5


def test_delivered_twice_there_is_one_commit_and_the_same_answer(origin: Origin, settings: WorkerSettings) -> None:
    message = condenser_message(origin)
    first = perform("condenser", message, settings)
    head = origin.head()

    second = perform("condenser", message, settings)

    assert second == first
    assert origin.head() == head


def test_delivered_again_after_others_worked_on_it_does_not_bring_its_old_result_back(
    origin: Origin, settings: WorkerSettings
) -> None:
    message = condenser_message(origin)
    first = perform("condenser", message, settings)
    head = origin.commit({"condenser_output.json": '{"pressure_kpa": 1}\n'}, "Correct by hand")

    second = perform("condenser", message, settings)

    assert second == first
    assert origin.head() == head
    assert json.loads(origin.show("condenser_output.json")) == {"pressure_kpa": 1}


def test_delivered_to_two_workers_at_once_there_is_one_commit(origin: Origin, settings: WorkerSettings) -> None:
    message = condenser_message(origin)
    before = origin.head()
    results: list[object] = []
    threads = [
        threading.Thread(target=lambda: results.append(perform("condenser", message, settings))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(origin.commits_since(before)) == 1
    assert len(results) == 4
    assert len({json.dumps(result, sort_keys=True) for result in results}) == 1


def test_an_identical_output_makes_no_commit(origin: Origin, settings: WorkerSettings) -> None:
    first = perform("condenser", condenser_message(origin), settings)
    head = origin.head()

    second = perform("condenser", condenser_message(origin), settings)

    assert second["unchanged"] is True
    assert second["commit"] is None
    assert second["outputBlob"] == first["outputBlob"]
    assert origin.head() == head


def test_a_branch_that_moves_on_keeps_what_others_pushed(
    origin: Origin, settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the worker's fetch and its push somebody pushes; the worker's commit lands on top of theirs."""
    pushed_by_others: list[str] = []
    really_push = Repository.push

    def push_late(self: Repository, head: str, blob: str, title: str) -> Pushed:
        if len(pushed_by_others) < 2:
            pushed_by_others.append(origin.commit({"notes.txt": f"note {len(pushed_by_others)}\n"}, "Note"))
        return really_push(self, head, blob, title)

    monkeypatch.setattr(Repository, "push", push_late)
    message = condenser_message(origin)

    result = perform("condenser", message, settings)

    assert origin.commits_since(str(message["commitHash"])) == [*pushed_by_others, result["commit"]]
    assert origin.changed_files(origin.head()) == ["condenser_output.json"]
    assert origin.show("notes.txt") == "note 1"


def test_the_commit_of_the_message_is_calculated_whatever_the_branch_holds_by_now(
    origin: Origin, settings: WorkerSettings
) -> None:
    message = condenser_message(origin)
    changed = json.loads(origin.show("condenser_input.json"))
    changed["cooling_water"]["inlet_temperature_c"] = 30
    origin.commit({"condenser_input.json": json.dumps(changed)}, "Now it is hotter")

    perform("condenser", message, settings)

    assert json.loads(origin.show("condenser_output.json"))["cooling_water"]["inlet_temperature_c"] == 18


def test_an_impossible_input_fails_naming_the_field_and_pushes_nothing(
    tmp_path: Path, settings: WorkerSettings
) -> None:
    origin = make_origin(
        tmp_path / "other",
        condenser_input={
            "geometry": "brass-28x1",
            "heat_duty_mw": 334,
            "cooling_water": {"inlet_temperature_c": 18, "flow_kg_s": -1},
        },
    )
    head = origin.head()

    with pytest.raises(
        CalculationFailed, match=r"condenser_input\.json/cooling_water/flow_kg_s: Flow must be a number from 500"
    ):
        perform("condenser", condenser_message(origin), settings)

    assert origin.head() == head


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "condenser_input.json is no valid JSON"),
        ('{"geometry": NaN}', "NaN is no number"),
        ("[" * 100_000, "condenser_input.json is no valid JSON"),
        ("[]", "condenser_input.json: .*object"),
    ],
)
def test_a_file_that_is_no_document_fails_with_its_name(
    origin: Origin, settings: WorkerSettings, content: str, complaint: str
) -> None:
    head = origin.commit({"condenser_input.json": content}, "Break it")
    with pytest.raises(CalculationFailed, match=complaint):
        perform("condenser", condenser_message(origin), settings)
    assert origin.head() == head


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"input_files": ["nothing.json"]}, "nothing.json is not in the commit"),
        ({"input_files": ["condenser_input.json"]}, "geometries_manifest.json: is missing among"),
        ({"commitHash": "0" * 40}, "is not in the repository"),
        ({"branch": "no/such-branch"}, "couldn't find remote ref"),
        ({"repoUrl": "https://elsewhere.example/a.git"}, "serves no other"),
    ],
)
def test_a_message_that_asks_for_what_is_not_there_fails_at_once(
    origin: Origin, settings: WorkerSettings, changed: dict[str, object], complaint: str
) -> None:
    head = origin.head()
    with pytest.raises(CalculationFailed, match=complaint):
        perform("condenser", condenser_message(origin, **changed), settings)
    assert origin.head() == head


def test_a_server_that_comes_back_gets_the_result(
    origin: Origin, settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_fetch, refused = Repository.fetch, list[int]()

    def fetch(self: Repository) -> str:
        if len(refused) < 2:
            refused.append(1)
            raise GitUnavailable("connection refused")
        return really_fetch(self)

    monkeypatch.setattr(Repository, "fetch", fetch)
    monkeypatch.setattr(perform_module, "FIRST_PAUSE", 0.01)

    result = perform("condenser", condenser_message(origin), settings)

    assert result["commit"] == origin.head()


def test_a_push_whose_answer_was_lost_is_found_and_not_repeated(
    origin: Origin, settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_push, lost = Repository.push, list[Pushed]()

    def push(self: Repository, head: str, blob: str, title: str) -> Pushed:
        pushed = really_push(self, head, blob, title)
        if not lost:
            lost.append(pushed)
            raise GitUnavailable("the connection broke after the push")
        return pushed

    monkeypatch.setattr(Repository, "push", push)
    message = condenser_message(origin)

    result = perform("condenser", message, settings)

    assert origin.commits_since(str(message["commitHash"])) == [result["commit"]]


def test_a_server_that_stays_away_fails_the_task_in_the_end(origin: Origin, settings: WorkerSettings) -> None:
    """Nothing listens on port 1."""
    away = replace(settings, gitlab_url="http://127.0.0.1:1", retry_for=timedelta(seconds=0.5))
    message = condenser_message(origin, repoUrl="http://127.0.0.1:1/power/plant.git")
    with pytest.raises(CalculationFailed, match="The repository cannot be reached: git fetch: fatal: unable to access"):
        perform("condenser", message, away)


def test_a_repository_that_is_not_there_fails_at_once(origin: Origin, settings: WorkerSettings) -> None:
    message = condenser_message(origin, repoUrl=f"file://{origin.path.parent}/gone.git")
    with pytest.raises(CalculationFailed, match="does not appear to be a git repository"):
        perform("condenser", message, settings)


def test_a_branch_that_never_rests_is_given_up_after_so_many_rounds(
    origin: Origin, settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def push(self: Repository, head: str, blob: str, title: str) -> Pushed:
        tries.append(1)
        raise PushRefused("fetch first")

    monkeypatch.setattr(Repository, "push", push)
    monkeypatch.setattr(perform_module, "PUSH_ROUNDS", 3)
    head = origin.head()
    with pytest.raises(CalculationFailed, match="moved 3 times"):
        perform("condenser", condenser_message(origin), settings)
    assert len(tries) % 3 == 0
    assert origin.head() == head


def test_a_push_that_the_server_forbids_fails_with_its_words(origin: Origin, settings: WorkerSettings) -> None:
    hook = origin.path / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'GitLab: You are not allowed to push code to protected branches.' >&2\nexit 1\n")
    hook.chmod(0o755)
    head = origin.head()
    with pytest.raises(CalculationFailed, match="not allowed to push code to protected branches"):
        perform("condenser", condenser_message(origin), settings)
    assert origin.head() == head


def test_the_clone_is_gone_afterwards_and_the_token_was_never_on_disk(
    origin: Origin, settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    really_push, seen = Repository.push, list[Path]()

    def push(self: Repository, head: str, blob: str, title: str) -> Pushed:
        pushed = really_push(self, head, blob, title)
        seen.extend(
            path
            for path in settings.work_dir.rglob("*")
            if path.is_file() and TOKEN in path.read_bytes().decode(errors="replace")
        )
        seen.append(settings.work_dir)
        return pushed

    monkeypatch.setattr(Repository, "push", push)
    perform("condenser", condenser_message(origin), settings)

    assert seen == [settings.work_dir]
    assert list(settings.work_dir.iterdir()) == []
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(settings)


def test_git_gets_the_token_for_its_own_server_only_and_by_environment(
    tmp_path: Path, settings: WorkerSettings
) -> None:
    repository = tmp_path / "bare"
    repository.mkdir()
    ours = Git(repository, "http://127.0.0.1:1/power/plant.git", settings)
    ours.local("init", "--quiet", "--bare", ".")

    asked = ours.run("config", "--get-urlmatch", "http.extraHeader", "http://127.0.0.1:1/power/plant.git")
    other = ours.run("config", "--get-urlmatch", "http.extraHeader", "http://127.0.0.1:2/power/plant.git")

    assert asked.text.startswith("Authorization: Basic ")
    assert other.text == ""
    assert "extraheader" not in (repository / "config").read_text().lower()


def test_what_git_says_is_shown_without_the_token(tmp_path: Path, settings: WorkerSettings) -> None:
    tmp_path.joinpath("bare").mkdir()
    shown = Git(tmp_path / "bare", "file:///nowhere", settings).run("cat-file", "-e", TOKEN)
    assert shown.code != 0
    assert TOKEN not in shown.complaint


def test_clones_of_killed_workers_are_removed_and_those_of_living_ones_stay(settings: WorkerSettings) -> None:
    settings.work_dir.mkdir()
    living = settings.work_dir / f"task-{os.getpid()}-abc"
    dead = settings.work_dir / "task-4194305-def"
    for directory in (living, dead):
        directory.mkdir()
        (directory / "HEAD").write_text("x")

    remove_leftovers(settings.work_dir)

    assert list(settings.work_dir.iterdir()) == [living]


def test_the_whole_plant_is_calculated_task_by_task(origin: Origin, settings: WorkerSettings) -> None:
    plant = json.loads(origin.show("balance_input.json"))
    heaters = {
        "turbine": plant["turbine"],
        "condensate": {"temperature_c": 30.6, "pressure_mpa": 1.6},
        "feed_pump": plant["feedwater"]["feed_pump"],
        "heaters": plant["feedwater"]["heaters"],
    }
    perform("condenser", condenser_message(origin), settings)
    origin.commit({"feedwater_heaters_input.json": json.dumps(heaters)}, "Enter the heaters' input")
    perform(
        "feedwater_heaters",
        condenser_message(
            origin, input_files=["feedwater_heaters_input.json"], output_file="feedwater_heaters_output.json"
        ),
        settings,
    )
    perform(
        "balance",
        condenser_message(
            origin,
            input_files=["balance_input.json", "condenser_output.json", "feedwater_heaters_output.json"],
            output_file="balance_output.json",
        ),
        settings,
    )

    assert 290 < json.loads(origin.show("balance_output.json"))["power_mw"] < 300


def test_a_correlation_id_of_another_task_is_not_taken_for_its_own(origin: Origin, settings: WorkerSettings) -> None:
    base = origin.head()
    other = str(uuid4())
    origin.commit({"condenser_output.json": "{}\n"}, f"Calculate condenser\n\nCorrelation-Id: {other}")
    message = condenser_message(origin, commitHash=base)

    result = perform("condenser", message, settings)

    assert origin.trailer(str(result["commit"])) == message["correlationId"]
    assert len(origin.commits_since(base)) == 2

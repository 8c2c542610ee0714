"""The evidence is read as it was recorded and committed."""

import subprocess
from pathlib import Path

import pytest

from tests.chaos import history
from tests.chaos.evidence import FileChange
from tests.chaos.history import Answered, Leased, Tape, Told
from tests.chaos.sources import commits


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.test"]
    command = ["git", *who, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_what_is_recorded_is_read_back_in_order(tmp_path: Path) -> None:
    records: list[history.Record] = [
        Told(1.5, 3, "saga", 7, "COMPLETED", "COMPLETED", "COMPLETED"),
        Answered(2.0, 9, True, "saga", 7, "AWAIT_USER_CONDENSER_INPUT", "AWAITING_INPUT"),
        Leased(3.0, 2.5, "saga", None, 2.75),
    ]
    with Tape(tmp_path / "tape") as tape:
        for record in records:
            tape.write(record)
    assert list(history.read(tmp_path / "tape")) == records


def test_a_line_that_is_no_record_is_told(tmp_path: Path) -> None:
    (tmp_path / "tape").write_text('{"what": "Rumour"}\n')
    with pytest.raises(ValueError, match="no record"):
        list(history.read(tmp_path / "tape"))


def test_commits_are_read_with_trailers_and_the_blobs_before_and_after(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "input é.json").write_text("{}\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "--quiet", "-m", "Hydrate\n\nSaga-Id: one\nSaga-Step: HYDRATE_X/1")
    (tmp_path / "input é.json").write_text("[]\n")
    (tmp_path / "other").write_text("")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "--quiet", "-m", "Result\n\nCorrelation-Id: two")
    empty = git(tmp_path, "rev-parse", "HEAD:other")
    before, after = (git(tmp_path, "rev-parse", f"{ref}:input é.json") for ref in ("HEAD^", "HEAD"))

    result, hydrated = commits(tmp_path / ".git", 5)
    assert (hydrated.saga, hydrated.step, hydrated.task) == ("one", "HYDRATE_X/1", "")
    assert hydrated.changes == (FileChange("input é.json", None, before),)
    assert (result.saga, result.step, result.task) == ("", "", "two")
    assert result.changes == (FileChange("input é.json", before, after), FileChange("other", None, empty))
    assert {hydrated.project, result.project} == {5}

"""What a crash test's process is told, and the files over which it and the stand-in worker meet."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from sagas.ids import CommitSha, TaskId
from sagas.ports import TaskMessage, TaskReport, TaskState


class Scenario(StrEnum):
    """What the process plays, to its end, however often it is begun."""

    WHOLE = "whole"
    """From the issue's missing branch to the merge request, with a colleague's edit while the first form waits, and an
    engine that is stopped gracefully between two steps."""
    CANCELLED = "cancelled"
    """While a worker calculates a colleague closes the branch's merge request, which stops the saga; it is cancelled:
    everything is undone, and the branch goes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the process needs to know."""

    scenario: Scenario
    database_url: str
    gitlab_url: str
    gitlab_token: str
    colleague_token: str
    project_id: int
    project_path: str
    issue_iid: int
    folder: Path
    """Where `outbox`, `reports` and `revoked` are."""

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "folder": str(self.folder)})

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        stored = json.loads(text)
        return cls(
            **{**stored, "scenario": Scenario(stored["scenario"]), "folder": Path(stored["folder"])},
        )


def append(file: Path, entry: dict[str, object]) -> None:
    """One line; whoever reads it has the whole of it."""
    with file.open("a") as lines:
        lines.write(json.dumps(entry) + "\n")


def read(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@dataclass(frozen=True, slots=True)
class FilePublisher:
    """A broker and a result backend in files: they outlive the process that published."""

    folder: Path

    async def publish(self, message: TaskMessage) -> None:
        append(self.folder / "outbox", {"id": str(message.id), **message.body()})

    async def report(self, task: TaskId) -> TaskReport:
        for entry in read(self.folder / "reports"):
            if UUID(entry["id"]) == task:
                return TaskReport(TaskState.SUCCEEDED, CommitSha(entry["commit"]))
        return TaskReport(TaskState.PENDING)

    async def revoke(self, task: TaskId) -> None:
        append(self.folder / "revoked", {"id": str(task)})

"""Looking for a task's result: on the branch by its trailer, in the result backend by its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sagas.errors import RetryableError
from sagas.ids import BlobId, CommitSha, ProjectId, TaskId
from sagas.models import CalculationTask
from sagas.ports import Commit, TaskReport, TaskState
from sagas.steps.documents import storable
from sagas.steps.run import Tools

CORRELATION = "Correlation-Id"


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a task: a result, or the worker's failure (`error`)."""

    task_id: UUID
    commit: CommitSha | None = None
    error: str | None = None
    blob: BlobId | None = None
    """The output as it stood, where no commit tells it."""

    def to_payload(self) -> dict[str, Any]:
        """As the inbox keeps it."""
        return {"task": str(self.task_id), "commit": self.commit, "error": self.error, "blob": self.blob}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> "Finding":
        """As the inbox kept it."""
        commit, blob = payload.get("commit"), payload.get("blob")
        return cls(
            UUID(payload["task"]),
            None if commit is None else CommitSha(commit),
            payload.get("error"),
            None if blob is None else BlobId(blob),
        )


@dataclass(frozen=True, slots=True)
class Look:
    """Everything one look saw: the finding, and commits that changed the output without being the result."""

    finding: Finding | None
    strangers: tuple[CommitSha, ...] = ()


async def look(tools: Tools, task: CalculationTask) -> Look:
    """Look once for the task's result.

    A result is a commit after `commit_hash` that touches the output and carries the correlation id; or a report of
    success whose output is there with the inputs unchanged (an identical result makes no commit). Anything else that
    changes the output is a stranger: told, never taken.
    """
    project = ProjectId(task.project_id)
    touching = await tools.forge.commits(
        project, branch=task.branch, since=CommitSha(task.commit_hash), path=task.output_file
    )
    wanted = str(task.id)
    own = next((commit for commit in touching if commit.trailers.get(CORRELATION) == wanted), None)
    strangers = tuple(commit.sha for commit in touching if commit.trailers.get(CORRELATION) != wanted)
    if own is not None:
        return Look(Finding(task.id, own.sha), strangers)
    report = await _report(tools, task)
    if report.state is TaskState.FAILED:
        return Look(Finding(task.id, error=storable(report.error or "The worker gave no reason.")), strangers)
    if report.state is TaskState.SUCCEEDED and not _replaced(touching, report):
        output = await _standing(tools, task, report)
        if output is not None:
            return Look(Finding(task.id, report.commit, blob=output), strangers)
    return Look(None, strangers)


async def _report(tools: Tools, task: CalculationTask) -> TaskReport:
    try:
        return await tools.publisher.report(TaskId(task.id))
    except RetryableError:
        # The branch is the truth; a result backend that is away only hides failures until the next look.
        return TaskReport(TaskState.PENDING)


def _replaced(touching: Sequence[Commit], report: TaskReport) -> bool:
    """Whether somebody else wrote the output last, so that it cannot be what a worker found there or left."""
    return report.output_blob is None and bool(touching) and touching[0].sha != report.commit


async def _standing(tools: Tools, task: CalculationTask, report: TaskReport) -> BlobId | None:
    """The output's blob, where it is there as reported and its inputs are unchanged."""
    paths = [task.output_file, *task.input_files]
    blobs = await tools.forge.blob_ids(ProjectId(task.project_id), paths, ref=task.branch)
    output = blobs[task.output_file]
    if report.output_blob is not None and output != report.output_blob:
        return None
    return output if all(blobs[path] == task.input_blobs.get(path) for path in task.input_files) else None

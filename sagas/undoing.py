"""What a cancellation would undo, told before it is asked for: from the saga's own memory, without asking GitLab.

The order is that in which `sagas/steps/undo.py` goes about it. Whether others have changed something since is found only
when it is undone; what is known to stay says why.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sagas.context import SagaContext
from sagas.models import CalculationTask, Saga, SagaStatus, TaskStatus
from sagas.states import PREPARE_BRANCH
from sagas.texts import say

_OUTSTANDING = frozenset({TaskStatus.QUEUED, TaskStatus.PUBLISHED})


class UndoKind(StrEnum):
    """What is undone, or stays."""

    TASK = "TASK"
    COMMIT = "COMMIT"
    BRANCH = "BRANCH"
    RESULT = "RESULT"
    MERGE_REQUEST = "MERGE_REQUEST"


@dataclass(frozen=True, slots=True)
class UndoItem:
    """One thing that the saga did; `step` is the state that did it. `stays` says why it is not undone, None: it is."""

    kind: UndoKind
    description: str
    step: str | None = None
    file: str | None = None
    commit: Mapping[str, Any] | None = None
    """{sha, webUrl, message}, as far as they are known."""
    stays: str | None = None


def preview(saga: Saga, tasks: Sequence[CalculationTask]) -> tuple[UndoItem, ...]:
    """What cancelling with compensation would do from here, first things first; nothing once the saga is over.

    `tasks` are the saga's, oldest first. A saga that is being cancelled shows what is left.
    """
    if not saga.status.live:
        return ()
    context = SagaContext.from_json(saga.context)
    if saga.status is SagaStatus.CANCELLING and not (saga.wanted_by or {}).get("compensate", True):
        return tuple(_outstanding(tasks))
    return (*_outstanding(tasks), *_commits(context), *_branch(saga, context), *_staying(context, tasks))


def _outstanding(tasks: Sequence[CalculationTask]) -> Iterator[UndoItem]:
    for task in reversed(tasks):
        if task.status in _OUTSTANDING:
            yield UndoItem(
                UndoKind.TASK,
                say("Take back the task {task} in the queue {queue}", task=str(task.id), queue=task.queue),
                task.state,
            )


def _commits(context: SagaContext) -> Iterator[UndoItem]:
    for commit in reversed(context.commits):
        if "undone" in commit:
            continue
        path, state = str(commit["path"]), str(commit["state"])
        what = (
            say("Remove {path}", path=path)
            if commit.get("previousBlob") is None
            else say("Give {path} its former content", path=path)
        )
        shown = context.step(state).commit or {}
        known = shown if shown.get("sha") == commit["sha"] else {"sha": commit["sha"]}
        yield UndoItem(UndoKind.COMMIT, what, state, path, known)


def _branch(saga: Saga, context: SagaContext) -> Iterator[UndoItem]:
    if context.branch_created:
        what = say(
            "Delete the branch {branch}, with the workers' results, if nobody else has committed to it",
            branch=saga.branch,
        )
        yield UndoItem(UndoKind.BRANCH, what, PREPARE_BRANCH)


def _staying(context: SagaContext, tasks: Sequence[CalculationTask]) -> Iterator[UndoItem]:
    for task in reversed(tasks):
        if task.status is TaskStatus.SUCCEEDED and task.output_commit is not None and not context.branch_created:
            yield UndoItem(
                UndoKind.RESULT,
                say("{file} of the calculation {calculation}", file=task.output_file, calculation=task.calculation),
                task.state,
                task.output_file,
                {"sha": task.output_commit},
                say("It is the worker's commit, not the saga's."),
            )
    opened = context.merge_request
    if opened is not None and opened.get("created") and not opened.get("undone"):
        yield UndoItem(
            UndoKind.MERGE_REQUEST,
            say("The merge request !{iid}", iid=opened["iid"]),
            stays=say("The service does not close merge requests: close it by hand where it is not wanted."),
        )

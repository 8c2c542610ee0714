"""Reconciliation (NF-ORCH-3): what a saga builds upon, held against what its branch has now.

Watched are the inputs that it committed or found, from then to its end, and the outputs that it accepted. Not watched is
the file of a form that waits: editing it is normal use. A history that was rewritten while all of that stayed as it was is
taken as it is.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sagas.context import SagaContext
from sagas.definition import Action, SagaDefinition, StepKind
from sagas.errors import TerminalError
from sagas.ids import BlobId, CommitSha, ProjectId
from sagas.models import CalculationTask, Saga
from sagas.ports import Branch, Forge, MergeRequest
from sagas.texts import say

_AFTER_THE_COMMIT = frozenset({Action.DISPATCH, Action.SYNC_RESULT})


class EndedByHandError(TerminalError):
    """A merge request of the branch was merged or closed by somebody; `still_open` are the numbers of those that are not.

    The saga keeps them in mind, so that a retry goes on all the same.
    """

    def __init__(self, code: str, message: str, *, still_open: frozenset[int]) -> None:
        super().__init__(code, message)
        self.still_open = still_open


@dataclass(frozen=True, slots=True)
class Watched:
    """Path to blob of the files that must be as the saga knows them."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def watched(
    state: str, definition: SagaDefinition, context: SagaContext, task: CalculationTask | None = None
) -> Watched:
    """What must not have changed while the saga is in this state; `task` is its outstanding one, where it has one."""
    here, place = definition.step(state), definition.order(state)
    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}
    for name, facts in context.calculations.items():
        if name not in definition.last_places:
            continue
        passed = definition.last_places[name] < place
        committed = name == here.calculation and (here.action in _AFTER_THE_COMMIT or here.kind is StepKind.RESULT)
        if facts.input_blob is not None and (passed or committed):
            inputs[str(definition.calculations[name]["input_file"])] = facts.input_blob
        if facts.output_blob is not None and passed:
            outputs[str(definition.calculations[name]["output_file"])] = facts.output_blob
    if task is not None:
        inputs |= {path: str(blob) for path, blob in task.input_blobs.items() if path not in outputs}
    return Watched(inputs, outputs)


async def reconcile(
    forge: Forge,
    saga: Saga,
    definition: SagaDefinition,
    context: SagaContext,
    task: CalculationTask | None = None,
    *,
    known: CommitSha | None = None,
) -> Branch:
    """Compare; returns the branch where all is as the saga knows it. At the head `known` it was: no file is asked for.

    Raises TerminalError that says what was found and what can be done: BRANCH_DELETED, BRANCH_REWRITTEN, INPUT_CHANGED,
    OUTPUT_CHANGED, OUTPUT_DELETED.
    """
    project = ProjectId(saga.project_id)
    branch = await forge.branch(project, saga.branch)
    if branch is None:
        raise deleted(saga.branch)
    wanted = watched(saga.state, definition, context, task)
    paths = [*wanted.inputs, *wanted.outputs]
    if not paths or branch.head == known:
        return branch
    blobs = await forge.blob_ids(project, paths, ref=branch.head)
    error = _difference(wanted, blobs, saga.branch)
    if error is None:
        return branch
    head = None if context.head is None else CommitSha(context.head)
    if head is not None and not await forge.is_ancestor(project, ancestor=head, ref=branch.head):
        raise rewritten(saga.branch, head)
    raise error


def _difference(wanted: Watched, blobs: Mapping[str, BlobId | None], branch: str) -> TerminalError | None:
    for path, blob in wanted.inputs.items():
        if blobs[path] != blob:
            return changed(path, branch, removed=blobs[path] is None)
    for path, blob in wanted.outputs.items():
        if blobs[path] != blob:
            return output_changed(path, branch) if blobs[path] is not None else output_deleted(path, branch)
    return None


def ended(known: Collection[int], merge_requests: Sequence[MergeRequest]) -> EndedByHandError | None:
    """The error of a merge request that was open (`known`, by number) and was merged or closed by hand since."""
    over = next((one for one in merge_requests if one.iid in known and one.state in {"merged", "closed"}), None)
    if over is None:
        return None
    message = say(
        "The merge request !{iid} of {source_branch} was {what} by hand while this saga works on the branch: what it commits "
        "from now on would not be part of it. Retry to go on all the same, or cancel the saga.",
        iid=over.iid,
        source_branch=over.source_branch,
        what=say("merged") if over.state == "merged" else say("closed"),
    )
    still_open = frozenset(one.iid for one in merge_requests if one.state == "opened")
    if over.state == "merged":
        return EndedByHandError("MERGE_REQUEST_MERGED", message, still_open=still_open)
    return EndedByHandError("MERGE_REQUEST_CLOSED", message, still_open=still_open)


def deleted(branch: str) -> TerminalError:
    """The error of a branch that is gone."""
    return TerminalError(
        "BRANCH_DELETED",
        say("The branch {branch} is gone. Restore it and retry the step, or cancel the saga.", branch=branch),
    )


def rewritten(branch: str, lost: CommitSha) -> TerminalError:
    """The error of a branch that no longer contains a commit that the saga builds upon."""
    return TerminalError(
        "BRANCH_REWRITTEN",
        say(
            "The history of {branch} was rewritten: it does not contain the commit {lost} any more. Nothing "
            "was overwritten: go back to a form or a check to go on with what is there now, or cancel the "
            "saga.",
            branch=branch,
            lost=lost[:8],
        ),
    )


def changed(path: str, branch: str, *, removed: bool = False) -> TerminalError:
    """The error of an input that somebody else changed, or removed."""
    what = say("removed from") if removed else say("changed on")
    return TerminalError(
        "INPUT_CHANGED",
        say(
            "{path} was {what} {branch} by somebody else in the meantime. Nothing was overwritten: go back "
            "to the form to see the new content, or cancel the saga.",
            path=path,
            what=what,
            branch=branch,
        ),
    )


def output_changed(path: str, branch: str) -> TerminalError:
    """The error of an output that is not the accepted result any more."""
    return TerminalError(
        "OUTPUT_CHANGED",
        say(
            "{path} on {branch} is not the worker's result any more: somebody else has changed it. It was "
            "not used: restore it and retry, go back to its check or form to have it calculated anew, or "
            "cancel the saga.",
            path=path,
            branch=branch,
        ),
    )


def output_deleted(path: str, branch: str) -> TerminalError:
    """The error of an output that somebody removed."""
    return TerminalError(
        "OUTPUT_DELETED",
        say(
            "{path} is not on {branch} any more: somebody has removed it. Restore it and retry, go back to "
            "its check or form to have it calculated anew, or cancel the saga.",
            path=path,
            branch=branch,
        ),
    )

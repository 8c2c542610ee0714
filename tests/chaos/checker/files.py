"""Whose work is on a branch: the service and its workers replace only what they were shown, or what was theirs."""

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.checker.journals import by_saga, replay
from tests.chaos.evidence import Evidence, FileChange, GitCommit
from tests.chaos.history import ForeignCommit

_UNDO = "undo:"


def nothing_overwritten(evidence: Evidence) -> Iterator[str]:
    """A commit of the service replaces exactly the content that its user saw in the form, and touches one file.

    HYDRATE makes a file that was not there; an undo replaces what its own saga committed; a worker's result replaces
    nothing, or another result.
    """
    shown = {(draft.saga, draft.state, draft.visit): draft.blob for draft in evidence.drafts}
    forms = _forms(evidence)
    own = {(commit.saga, commit.step): commit for commit in evidence.commits if commit.saga}
    outputs: dict[tuple[int, str], set[str | None]] = defaultdict(lambda: {None})
    for commit in evidence.commits:
        if commit.task:
            outputs[commit.project, commit.changes[0].path].add(commit.changes[0].after)
    for commit in evidence.commits:
        if not (commit.saga or commit.task):
            continue
        if len(commit.changes) != 1:
            yield f"commit {commit.sha} changes {[change.path for change in commit.changes]}, not one file"
            continue
        change = commit.changes[0]
        if commit.task:
            if change.before not in outputs[commit.project, change.path]:
                yield f"commit {commit.sha}, the result of {commit.task}, replaced a foreign {change.path}"
        else:
            yield from _replaced(commit, change, shown, forms, own)


def _replaced(
    commit: GitCommit,
    change: FileChange,
    shown: dict[tuple[str, str, int], str | None],
    forms: dict[tuple[str, str], tuple[str, int]],
    own: dict[tuple[str, str], GitCommit],
) -> Iterator[str]:
    state, _, visit = commit.step.removeprefix(_UNDO).rpartition("/")
    if commit.step.startswith(_UNDO):
        undone = own.get((commit.saga, f"{state}/{visit}"))
        if undone is None or (change.before, change.after) != (undone.changes[0].after, undone.changes[0].before):
            yield f"commit {commit.sha} ({commit.step} of saga {commit.saga}) is not the inverse of {undone}"
    elif state.startswith("HYDRATE_"):
        if change.before is not None:
            yield f"commit {commit.sha} ({commit.step} of saga {commit.saga}) replaced {change.before} of {change.path}"
    else:
        form = forms.get((commit.saga, commit.step))
        seen = None if form is None else shown.get((commit.saga, *form))
        if form is None or change.before != seen:
            yield (
                f"commit {commit.sha} ({commit.step} of saga {commit.saga}) replaced {change.before} of {change.path}; "
                f"its user saw {seen} in {form}"
            )


def _forms(evidence: Evidence) -> dict[tuple[str, str], tuple[str, int]]:
    """For each visit of a committing state, by saga: the form and its visit that led there."""
    forms: dict[tuple[str, str], tuple[str, int]] = {}
    for saga, events in by_saga(evidence).items():
        entered: dict[str, int] = defaultdict(int)
        for entry in replay(events):
            event = entry.event
            if event.from_state == event.to_state:
                continue
            entered[event.to_state] += 1
            if event.type == "INPUT_RECEIVED" and event.from_state is not None:
                forms[saga, f"{event.to_state}/{entered[event.to_state]}"] = (event.from_state, entry.visit)
    return forms


def foreign_kept(evidence: Evidence) -> Iterator[str]:
    """What a colleague committed is still part of a branch: nobody rewrote or removed it."""
    there = {(commit.project, commit.sha) for commit in evidence.commits}
    for record in evidence.history:
        if isinstance(record, ForeignCommit) and (record.project, record.sha) not in there:
            yield f"a colleague's commit {record.sha} of {record.path} on {record.branch} is gone"

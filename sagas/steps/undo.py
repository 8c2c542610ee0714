"""Compensation: what a cancelled saga takes back, newest first, one effect per step of the engine.

Each undo is an effect like any other: recognisable by its trailer, looked for before it is done again, journaled. What
somebody else has built upon is not forced: it is told per effect, and stays.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from sagas.context import SagaContext, StepStatus
from sagas.definition import Action
from sagas.errors import RetryableError, TerminalError
from sagas.ids import CommitSha
from sagas.models import CalculationTask, EventType, TaskStatus
from sagas.ports import ChangeKind, Commit, File, FileChange
from sagas.results import Cancelled, Compensated, StepResult
from sagas.states import PREPARE_BRANCH
from sagas.steps.files import CONFLICT, find_effect
from sagas.steps.findings import CORRELATION
from sagas.steps.merge_requests import find_own, merge_request_to_json
from sagas.steps.run import StepRun
from sagas.steps.tasks import live_tasks, revoke
from sagas.store import tasks
from sagas.texts import say


async def cancel(run: StepRun) -> StepResult:
    """Revoke an outstanding task, or settle the step that was cancelled and undo one effect; Cancelled when none is left.

    The task goes first, as the newest effect: what its worker has not begun is not begun any more.
    """
    outstanding = await live_tasks(run)
    if outstanding:
        return await _revoked(run, outstanding[-1])
    refused = None
    try:
        run = replace(run, context=await _settled(run))
    except TerminalError as error:
        # What GitLab will never tell must not keep the saga from ending; what is known is undone all the same.
        refused = error.message
    if bool((run.saga.wanted_by or {}).get("compensate", True)):
        result = await _undo_next(run)
        if result is not None:
            return result
    return Cancelled(run.context, refused, await _results_kept(run))


async def _revoked(run: StepRun, task: CalculationTask) -> Compensated:
    change = await revoke(run, task, "The saga was cancelled.")
    data = {"step": f"{task.state}/{task.visit}", "task": str(task.id)}
    return Compensated(run.context, EventType.TASK_REVOKED, data, (change,))


async def _results_kept(run: StepRun) -> tuple[Mapping[str, Any], ...]:
    """The outputs that workers pushed for this saga: theirs, and so they stay, unless the whole branch went."""
    if run.context.step(PREPARE_BRANCH).status is StepStatus.COMPENSATED:
        return ()
    known = await run.tools.database.read(lambda connection: tasks.of_saga(connection, run.saga.id))
    return tuple(
        {"file": task.output_file, "commit": task.output_commit}
        for task in known
        if task.status is TaskStatus.SUCCEEDED and task.output_commit is not None
    )


async def _settled(run: StepRun) -> SagaContext:
    """What was done and never recorded belongs to what is undone: an attempt cut short, or what a backup had not yet."""
    match run.step.action:
        case Action.PREPARE_BRANCH if not run.context.branch_created:
            return await _settled_branch(run)
        case Action.OPEN_MERGE_REQUEST if run.context.merge_request is None:
            found = await find_own(run)
            kept = None if found is None else merge_request_to_json(found, created=True)
            return replace(run.context, merge_request=kept)
        case _:
            return await _settled_commits(run)


async def _settled_commits(run: StepRun) -> SagaContext:
    """With every commit of this saga that is on the branch, also where the saga does not know of it.

    Mostly that of the step that was cut short. After the database was restored there are more, also before the head
    that the saga knows by now: a check that was made again took its own files for found ones. An effect is looked for by
    its trailers and its committer: whatever others write into theirs is not believed.
    """
    context = run.context
    branch = await run.forge.branch(run.project, run.saga.branch)
    if branch is None:
        return context
    known = {f"{commit['state']}/{commit['visit']}" for commit in context.commits}
    for name in run.definition.calculations:
        path = run.calculation_named(name).input_file
        touching = await run.forge.commits(run.project, branch=run.saga.branch, since=None, path=path)
        effects = [commit.trailers.get("Saga-Step", "") for commit in reversed(touching) if _is_of(run, commit)]
        for effect in effects:
            if effect in known or not _writes(run, effect, path):
                continue
            found = await find_effect(run, effect, path, branch.head, since=None)
            if found is not None:
                context = found[0].remember(run, path, step=effect, context=context)
    return context


def _is_of(run: StepRun, commit: Commit) -> bool:
    return commit.trailers.get("Saga-Id") == str(run.saga.id)


def _writes(run: StepRun, effect: str, path: str) -> bool:
    """Whether it is the effect of a step that commits this file."""
    state, _, visit = effect.rpartition("/")
    step = run.definition.by_name.get(state)
    if step is None or step.action not in {Action.HYDRATE, Action.COMMIT_INPUT} or not visit.isdecimal():
        return False
    return run.calculation_named(step.calculation or "").input_file == path


async def _settled_branch(run: StepRun) -> SagaContext:
    branch = await run.forge.branch(run.project, run.saga.branch)
    made = branch is not None and branch.head == run.head
    return replace(run.context, branch_created=made, branch_base=run.head if made else None)


async def _undo_next(run: StepRun) -> Compensated | None:
    for place in range(len(run.context.commits) - 1, -1, -1):
        if "undone" not in run.context.commits[place]:
            return await _undo_commit(run, place)
    if run.context.branch_created:
        return await _undo_branch(run)
    merge_request = run.context.merge_request
    if merge_request is not None and merge_request.get("created") and not merge_request.get("undone"):
        kept = {**merge_request, "undone": "REFUSED"}
        reason = say("a merge request is not closed by the service: close it by hand where it is not wanted")
        data = {"mergeRequest": merge_request["webUrl"], "reason": reason}
        return Compensated(replace(run.context, merge_request=kept), EventType.UNDO_REFUSED, data)
    return None


async def _undo_commit(run: StepRun, place: int) -> Compensated:
    try:
        sha = await _undo(run, run.context.commits[place])
    except TerminalError as refusal:
        if refusal.code == CONFLICT:
            raise RetryableError(CONFLICT, refusal.message) from refusal
        return _settle(run, place, EventType.UNDO_REFUSED, {"reason": refusal.message})
    return _settle(run, place, EventType.UNDONE, {"sha": sha})


async def _undo(run: StepRun, commit: Mapping[str, Any]) -> CommitSha:
    """Commit the inverse, or find the commit that did; TerminalError says why it may not be done."""
    path, effect = str(commit["path"]), f"undo:{commit['state']}/{commit['visit']}"
    branch = await run.forge.branch(run.project, run.saga.branch)
    if branch is None:
        raise TerminalError("BRANCH_DELETED", say("the branch is gone"))
    own = await run.forge.find_own_commit(
        run.project,
        branch=run.saga.branch,
        since=CommitSha(str(commit["sha"])),
        path=path,
        trailers=run.trailers(effect),
    )
    if own is not None:
        return own.sha
    file = await run.forge.get_file_content(run.project, path, ref=branch.head)
    if file is None or file.blob_id != commit["blob"]:
        raise TerminalError("INPUT_CHANGED", say("the file was changed by others since"))
    change = await _inverse(run, commit, file)
    write = partial(
        run.forge.create_commit,
        run.project,
        run.saga.branch,
        [change],
        message=run.message(f"Undo the change of {path}", effect),
        author=run.starter,
    )
    return (await run.write("gitlab.undo_commit", write)).sha


async def _inverse(run: StepRun, commit: Mapping[str, Any], file: File) -> FileChange:
    path = str(commit["path"])
    if commit.get("previousBlob") is None:
        return FileChange(ChangeKind.DELETE, path, last_commit_id=file.last_commit_id)
    before = await run.forge.get_file_content(run.project, path, ref=CommitSha(str(commit["parent"])))
    if before is None or before.blob_id != commit["previousBlob"]:
        raise TerminalError("BRANCH_REWRITTEN", say("what the file held before cannot be read any more"))
    try:
        content = before.content.decode()
    except UnicodeDecodeError as broken:
        reason = say("the file held something else than UTF-8 text before; restore it from git by hand")
        raise TerminalError("INVALID_DOCUMENT", reason) from broken
    return FileChange(ChangeKind.UPDATE, path, content, file.last_commit_id)


def _settle(run: StepRun, place: int, event: EventType, told: Mapping[str, Any]) -> Compensated:
    commit = dict(run.context.commits[place])
    commit["undone"] = "UNDONE" if event is EventType.UNDONE else "REFUSED"
    commits = (*run.context.commits[:place], commit, *run.context.commits[place + 1 :])
    context = replace(run.context, commits=commits)
    if event is EventType.UNDONE:
        context = context.with_step(commit["state"], status=StepStatus.COMPENSATED)
    data = {"step": f"{commit['state']}/{commit['visit']}", "file": commit["path"], "commit": commit["sha"], **told}
    return Compensated(context, event, data)


async def _undo_branch(run: StepRun) -> Compensated:
    """The branch goes last, and only where nobody else has committed to it."""
    context = replace(run.context, branch_created=False)
    data: dict[str, Any] = {"branch": run.saga.branch}
    try:
        branch = await run.forge.branch(run.project, run.saga.branch)
        if branch is None:
            return Compensated(context, EventType.UNDONE, {**data, "reason": say("it was gone already")})
        if not await _is_own(run):
            reason = say("somebody else has committed to it")
            return Compensated(context, EventType.UNDO_REFUSED, {**data, "reason": reason})
        wanted = await run.forge.merge_requests(run.project, source_branch=run.saga.branch, state="opened")
        if wanted:
            reason = say("its merge request is open: {url}", url=wanted[0].web_url or "")
            return Compensated(context, EventType.UNDO_REFUSED, {**data, "reason": reason})
        await run.write("gitlab.delete_branch", lambda: run.forge.delete_branch(run.project, run.saga.branch))
    except TerminalError as refusal:
        return Compensated(context, EventType.UNDO_REFUSED, {**data, "reason": refusal.message})
    context = context.with_step(PREPARE_BRANCH, status=StepStatus.COMPENSATED)
    return Compensated(context, EventType.UNDONE, data)


async def _is_own(run: StepRun) -> bool:
    """Whether every commit since the branch was made is this saga's, or a result of its tasks."""
    base = run.context.branch_base
    if base is None:
        return False
    known = await run.tools.database.read(lambda connection: tasks.of_saga(connection, run.saga.id))
    accepted = {facts.output_commit for facts in run.context.calculations.values()}
    workers = {str(task.id) for task in known}
    commits = await run.forge.commits(run.project, branch=run.saga.branch, since=CommitSha(base), path=None)
    return all(
        _is_of(run, commit) or commit.trailers.get(CORRELATION) in workers or commit.sha in accepted
        for commit in commits
    )

"""The steps around a worker's task: publish it, take its result, and read the output off the branch."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from sagas.definition import Trigger
from sagas.errors import SagaError, TerminalError
from sagas.ids import BlobId, CommitSha, TaskId
from sagas.models import CalculationTask, EventType, SagaStatus, SignalKind, TaskStatus
from sagas.ports import TaskMessage
from sagas.results import Advanced, Failed, Stayed, StepResult, TaskChange, Waiting
from sagas.steps import documents
from sagas.steps.files import foreign
from sagas.steps.findings import CORRELATION, Finding, look
from sagas.steps.reconciling import changed, output_changed, output_deleted, rewritten
from sagas.steps.run import StepRun
from sagas.store import claims, inbox, tasks
from sagas.texts import say


async def _task(run: StepRun) -> CalculationTask:
    identity = run.context.facts(run.calculation.name).task_id
    task = None
    if identity is not None:
        task = await run.tools.database.read(lambda connection: tasks.task(connection, UUID(identity)))
    if task is None:
        raise AssertionError(f"saga {run.saga.id} has no task row for {run.saga.state}")
    return task


async def dispatch(run: StepRun) -> Advanced:
    """Publish the task row that entering this state has inserted; a second attempt publishes the same id again."""
    task = await _task(run)
    commit_hash = CommitSha(task.commit_hash)
    await run.verify()
    branch = await run.branch()
    if branch.head != commit_hash and not await run.forge.is_ancestor(
        run.project, ancestor=commit_hash, ref=branch.head
    ):
        raise rewritten(task.branch, commit_hash)
    paths = [*task.input_files, *_settled_inputs(run), task.output_file]
    blobs = await run.forge.blob_ids(run.project, paths, ref=commit_hash)
    missing = [path for path in task.input_files if blobs[path] is None]
    if missing:
        raise TerminalError(
            "INVALID_DOCUMENT",
            say(
                "The calculation reads {missing}, which the branch {branch} does not have. Add it and retry.",
                missing=", ".join(missing),
                branch=task.branch,
            ),
        )
    _refuse_foreign(run, blobs)
    await _validate_own_input(run, commit_hash)
    commit_hash = await _answered_already(run, task, blobs) or commit_hash
    message = TaskMessage(
        id=TaskId(task.id),
        name=task.name,
        queue=task.queue,
        repo_url=task.repo_url,
        branch=task.branch,
        commit_hash=commit_hash,
        input_files=tuple(task.input_files),
        output_file=task.output_file,
    )
    superseded = [other for other in await live_tasks(run) if other.id != task.id]
    await run.write("broker.publish", lambda: run.tools.publisher.publish(message))
    input_blobs = {path: blobs[path] for path in task.input_files}
    published = TaskChange(
        task.id, TaskStatus.PUBLISHED, published=True, commit_hash=commit_hash, input_blobs=input_blobs
    )
    revoked = [await revoke(run, other, f"A newer task, {task.id}, took its place.") for other in superseded]
    data = {"task": str(task.id), "queue": task.queue, "commitHash": commit_hash}
    return Advanced(Trigger.DONE, run.context, EventType.TASK_PUBLISHED, data, tasks=(published, *revoked))


async def _answered_already(
    run: StepRun, task: CalculationTask, blobs: Mapping[str, BlobId | None]
) -> CommitSha | None:
    """The commit before a result of this very task that stands on the branch, made from the same inputs.

    So it is where the database was set back to a dump: the task was answered before the commit that it would now name,
    and workers drop a task that they have done. From that earlier commit on, the result is found.
    """
    if blobs[task.output_file] is None:
        return None
    touching = await run.forge.commits(run.project, branch=task.branch, since=None, path=task.output_file)
    newest = next(iter(touching), None)
    if newest is None or newest.trailers.get(CORRELATION) != str(task.id) or not newest.parent_ids:
        return None
    read = await run.forge.blob_ids(run.project, task.input_files, ref=newest.sha)
    return newest.parent_ids[0] if all(read[path] == blobs[path] for path in task.input_files) else None


def _settled_inputs(run: StepRun) -> list[str]:
    """The inputs of the calculations that this one builds upon."""
    return [run.calculation_named(name).input_file for name in run.calculation.depends_on]


def _refuse_foreign(run: StepRun, blobs: Mapping[str, BlobId | None]) -> None:
    """Whatever this saga committed or accepted must still be what the task would read."""
    for name in (run.calculation.name, *run.calculation.depends_on):
        facts, calculation = run.context.facts(name), run.calculation_named(name)
        if facts.input_blob is not None and blobs[calculation.input_file] != facts.input_blob:
            raise changed(calculation.input_file, run.saga.branch)
        if name == run.calculation.name or facts.output_blob is None:
            continue
        if blobs[calculation.output_file] != facts.output_blob:
            raise output_changed(calculation.output_file, run.saga.branch)


async def live_tasks(run: StepRun) -> list[CalculationTask]:
    """The saga's tasks that a worker may still take up or finish."""
    known = await run.tools.database.read(lambda connection: tasks.of_saga(connection, run.saga.id))
    return [task for task in known if task.status in {TaskStatus.QUEUED, TaskStatus.PUBLISHED}]


async def revoke(run: StepRun, task: CalculationTask, why: str) -> TaskChange:
    """Ask the workers to drop the task: a hint, so a broker that is away holds nobody up; a late result is ignored."""
    with suppress(SagaError):
        await run.write("broker.revoke", lambda: run.tools.publisher.revoke(TaskId(task.id)))
    return TaskChange(task.id, TaskStatus.REVOKED, finished=True, error=why)


async def _validate_own_input(run: StepRun, commit_hash: CommitSha) -> None:
    file = await run.forge.get_file_content(run.project, run.calculation.input_file, ref=commit_hash)
    if file is None:
        raise changed(run.calculation.input_file, run.saga.branch)
    problems = run.calculation.validate(documents.parse(file))
    if problems:
        first = "; ".join(problem.message for problem in problems[:5])
        raise TerminalError(
            "INVALID_DOCUMENT", say("{path} does not meet its schema: {first}", path=file.path, first=first)
        )


async def await_result(run: StepRun) -> StepResult:
    """Take what the inbox has for the task; at the deadline look once more, then give up.

    In status RUNNING a person has asked to retry: take a late result, wait on for a task that a worker still has, else
    publish a new one.
    """
    signals = await run.tools.database.read(lambda connection: inbox.unread(connection, run.saga.id))
    consumed = tuple(signal.id for signal in signals)
    task = await _task(run)
    noticed = []
    for signal in signals:
        if signal.kind is not SignalKind.RESULT:
            continue
        if "noticed" in signal.payload:
            noticed.append({"file": task.output_file, "commit": signal.payload["noticed"]})
            continue
        finding = Finding.from_payload(signal.payload)
        if finding.task_id == task.id:
            return _take(run, finding, consumed)
    if run.saga.status is SagaStatus.RUNNING:
        return await _retried(run, task, consumed)
    if await run.tools.database.read(lambda connection: claims.passed(connection, run.saga.deadline_at)):
        late = (await look(run.tools, task)).finding
        if late is not None:
            return _take(run, late, consumed)
        return _timed_out(run, task, consumed)
    return Stayed(tuple(noticed), consumed)


async def _retried(run: StepRun, task: CalculationTask, consumed: tuple[UUID, ...]) -> StepResult:
    await run.branch()
    late = (await look(run.tools, task)).finding
    if late is not None and late.error is None:
        return _take(run, late, consumed)
    if late is None and task.status is TaskStatus.PUBLISHED:
        # What stopped the saga was not its calculation: if that is mended, the worker's result is still to come.
        await run.verify(task)
        return Waiting(consumed)
    data = {"previousTask": str(task.id), "reason": "retry"}
    return Advanced(Trigger.REDISPATCH, run.context, data=data, consumed=consumed)


def _take(run: StepRun, finding: Finding, consumed: tuple[UUID, ...]) -> StepResult:
    if finding.error is not None:
        failed = TaskChange(finding.task_id, TaskStatus.FAILED, finished=True, error=finding.error)
        message = say(
            "The calculation {calculation} failed: {error}", calculation=run.calculation.name, error=finding.error
        )
        return Failed(TerminalError("CALCULATION_FAILED", message), (failed,), consumed)
    context = run.context.with_facts(run.calculation.name, output_commit=finding.commit, output_blob=finding.blob)
    data = {"task": str(finding.task_id), "commit": finding.commit}
    return Advanced(Trigger.RESULT_FOUND, context, EventType.RESULT_ACCEPTED, data, consumed=consumed)


def _timed_out(run: StepRun, task: CalculationTask, consumed: tuple[UUID, ...]) -> Failed:
    seconds = round(run.calculation.deadline_s)
    message = say(
        "No result of {calculation} within {seconds} s. See whether a worker serves the queue {queue}, then retry: a result "
        "that came late is taken first.",
        calculation=run.calculation.name,
        seconds=seconds,
        queue=task.queue,
    )
    error = TerminalError("CALCULATION_TIMED_OUT", message)
    return Failed(error, (TaskChange(task.id, TaskStatus.TIMED_OUT, finished=True, error=message),), consumed)


async def sync_result(run: StepRun) -> Advanced:
    """Read the output at the branch's head, and make sure that it still belongs to the inputs it was made from."""
    task = await _task(run)
    await run.verify(task)
    branch = await run.branch()
    paths = [task.output_file, *task.input_files]
    blobs = await run.forge.blob_ids(run.project, paths, ref=branch.head)
    for path in task.input_files:
        if blobs[path] != task.input_blobs.get(path):
            raise await foreign(run, path)
    file = await run.forge.get_file_content(run.project, task.output_file, ref=branch.head)
    if file is None:
        raise output_deleted(task.output_file, task.branch)
    accepted = run.context.facts(run.calculation.name).output_commit
    if file.blob_id != await _accepted_blob(run, task):
        raise output_changed(task.output_file, task.branch)
    document = documents.parse(file)
    if not isinstance(document, dict):
        raise TerminalError(
            "INVALID_DOCUMENT", say("{output_file} is not a JSON object.", output_file=task.output_file)
        )
    context = replace(run.context, head=branch.head).with_facts(
        run.calculation.name, output_blob=file.blob_id, output_commit=accepted
    )
    succeeded = TaskChange(
        task.id,
        TaskStatus.SUCCEEDED,
        finished=True,
        output_blob=file.blob_id,
        output_commit=accepted,
        result=document,
    )
    data = {"task": str(task.id), "file": task.output_file, "commit": accepted}
    return Advanced(Trigger.DONE, context, EventType.ENTERED, data, tasks=(succeeded,))


async def _accepted_blob(run: StepRun, task: CalculationTask) -> BlobId | None:
    facts = run.context.facts(run.calculation.name)
    if facts.output_commit is None:
        return None if facts.output_blob is None else BlobId(facts.output_blob)
    accepted = CommitSha(facts.output_commit)
    try:
        made = await run.forge.get_file_content(run.project, task.output_file, ref=accepted)
    except TerminalError as unknown:
        # The branch was read a moment ago: what GitLab does not know is the commit.
        raise rewritten(task.branch, accepted) from unknown
    return None if made is None else made.blob_id

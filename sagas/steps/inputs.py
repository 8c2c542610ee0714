"""The steps that get a calculation's input onto the branch: check what is there, hydrate, commit what the user gave."""

from dataclasses import replace

from sagas.catalogue import Calculation
from sagas.definition import Trigger
from sagas.errors import TerminalError
from sagas.ids import BlobId, CommitSha
from sagas.models import EventType
from sagas.ports import Json
from sagas.results import Advanced, NewDraft, Waiting
from sagas.steps import documents
from sagas.steps.files import Written, find_written, write_file
from sagas.steps.run import StepRun, user_from_json
from sagas.store import drafts, tasks
from sagas.store.database import Connection
from sagas.texts import say


async def reopen_form(run: StepRun) -> Waiting:
    """A form that had failed was retried: it waits for its user again where nothing that it builds upon is amiss."""
    await run.verify()
    return Waiting()


async def check(run: StepRun) -> Advanced:
    """Look what the branch has of a calculation: a current output, an input to start the form from, or nothing."""
    calculation = run.calculation
    await run.verify()
    branch = await run.branch()
    context = replace(run.context, head=branch.head)
    file = await run.forge.get_file_content(run.project, calculation.input_file, ref=branch.head)
    if file is None:
        # No output can be current without the input it was made from.
        context = context.with_facts(calculation.name, input_blob=None)
        data = {"file": calculation.input_file, "found": "nothing"}
        return Advanced(Trigger.INPUT_MISSING, context, data=data)
    input_files = await _input_files(run, calculation)
    blobs = await run.forge.blob_ids(run.project, [*input_files, calculation.output_file], ref=branch.head)
    context = context.with_facts(calculation.name, input_blob=file.blob_id)
    output_blob = blobs[calculation.output_file]
    if output_blob is not None:
        task = await _producer(run, calculation.name, output_blob, {path: blobs[path] for path in input_files})
        if task is not None:
            task_id, output_commit = task
            context = context.with_facts(
                calculation.name, output_blob=output_blob, output_commit=output_commit, task_id=task_id
            )
            data = {"file": calculation.output_file, "found": "current output"}
            return Advanced(Trigger.OUTPUT_CURRENT, context, data=data)
    data = {"file": calculation.input_file, "found": "input"}
    draft = NewDraft(documents.parse(file), file.blob_id)
    return Advanced(Trigger.INPUT_FOUND, context, data=data, draft=draft)


async def _producer(
    run: StepRun, calculation: str, output_blob: BlobId, inputs: dict[str, BlobId | None]
) -> tuple[str, str | None] | None:
    async def find(connection: Connection) -> tuple[str, str | None] | None:
        candidates = await tasks.produced(
            connection,
            project_id=run.project,
            branch=run.saga.branch,
            calculation=calculation,
            output_blob=output_blob,
        )
        current = (task for task in candidates if task.input_blobs == inputs)
        return next(((str(task.id), task.output_commit) for task in current), None)

    return await run.tools.database.read(find)


async def _input_files(run: StepRun, calculation: Calculation) -> tuple[str, ...]:
    outputs = [run.calculation_named(name).output_file for name in calculation.depends_on]
    return (calculation.input_file, *outputs, *calculation.uses_files)


async def read_draft(run: StepRun, calculation: Calculation, ref: CommitSha) -> NewDraft:
    """The input file at a commit, as the draft of its form.

    Raises TerminalError("INVALID_DOCUMENT") where it is not a JSON document.
    """
    file = await run.forge.get_file_content(run.project, calculation.input_file, ref=ref)
    if file is None:
        raise TerminalError(
            "INVALID_DOCUMENT",
            say("{input_file} is not on {branch} any more.", input_file=calculation.input_file, branch=run.saga.branch),
        )
    return NewDraft(documents.parse(file), file.blob_id)


async def hydrate(run: StepRun) -> Advanced:
    """Make the missing input file from what the branch has, by the catalogue's rules, and commit it."""
    calculation = run.calculation
    sources: dict[str, Json] = {}
    for path in {rule.source for rule in calculation.hydration}:
        file = await run.forge.get_file_content(run.project, path, ref=run.saga.branch)
        if file is None:
            raise TerminalError(
                "INVALID_DOCUMENT",
                say(
                    "{path} is not on {branch}, but {input_file} is made from it. Add it and retry.",
                    path=path,
                    branch=run.saga.branch,
                    input_file=calculation.input_file,
                ),
            )
        sources[path] = documents.parse(file)
    document = calculation.hydrate(sources)
    try:
        written = await write_file(
            run,
            path=calculation.input_file,
            document=document,
            base=None,
            subject=f"Hydrate {calculation.input_file}",
            author=run.starter,
        )
    except TerminalError as error:
        if error.code != "INPUT_CHANGED":
            raise
        await run.verify()  # of this file alone may it be said that somebody was first
        branch = await run.branch()
        earlier = await find_written(run, calculation.input_file, branch.head)
        if earlier is not None and earlier[1].blob_id == (await read_draft(run, calculation, branch.head)).blob_id:
            # Ours, made by an earlier attempt from sources that have changed since: the form shows it as it is.
            return _hydrated(run, earlier[0], documents.parse(earlier[1]))
        # Somebody put the file there since the check: theirs is the draft, ours is not needed.
        draft = await read_draft(run, calculation, branch.head)
        context = replace(run.context, head=branch.head).with_facts(calculation.name, input_blob=draft.blob_id)
        data = {"file": calculation.input_file, "reason": "the file was added by somebody else"}
        return Advanced(Trigger.DONE, context, EventType.COMMIT_NOT_NEEDED, data, draft)
    return _hydrated(run, written, document)


def _hydrated(run: StepRun, written: Written, document: Json) -> Advanced:
    path = run.calculation.input_file
    context = written.remember(run, path).with_facts(run.calculation.name, input_blob=written.blob)
    event, data = _commit_event(written.commit.sha if written.commit else None, path)
    return Advanced(Trigger.DONE, context, event, data, NewDraft(document, written.blob))


async def commit_input(run: StepRun) -> Advanced:
    """Commit the document that the user gave, in his or her name; identical content is not written."""
    calculation = run.calculation
    form = f"AWAIT_USER_{calculation.name.upper()}_INPUT"
    visit = run.context.facts(calculation.name).await_visit
    draft = await run.tools.database.read(lambda connection: drafts.draft(connection, run.saga.id, form, visit or 0))
    if draft is None or draft.submitted is None or draft.submitted_by is None:
        raise TerminalError(
            "INVALID_DOCUMENT",
            say("The values for {input_file} are missing; give them again.", input_file=calculation.input_file),
        )
    written = await write_file(
        run,
        path=calculation.input_file,
        document=draft.submitted,
        base=None if draft.blob_id is None else BlobId(draft.blob_id),
        subject=f"Give {calculation.input_file} its values",
        author=user_from_json(draft.submitted_by),
    )
    context = written.remember(run, calculation.input_file).with_facts(
        calculation.name,
        input_blob=written.blob,
        input_commit=written.commit.sha if written.commit else None,
    )
    event, data = _commit_event(written.commit.sha if written.commit else None, calculation.input_file)
    return Advanced(Trigger.DONE, context, event, data)


def _commit_event(sha: str | None, path: str) -> tuple[EventType, dict[str, str]]:
    if sha is None:
        return EventType.COMMIT_NOT_NEEDED, {"file": path, "reason": "the file holds exactly this already"}
    return EventType.COMMITTED, {"file": path, "sha": sha}

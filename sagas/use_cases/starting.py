"""Starting sagas: read and refuse first, then one transaction that finds the live saga or bears a new one (`births`)."""

from sagas import trace
from sagas.context import SagaContext
from sagas.definition import SagaDefinition, Trigger
from sagas.errors import Problem, RefusalCode, RefusedError, TerminalError, refused
from sagas.ids import CommitSha, new_saga_id
from sagas.ports import Json, Project, User
from sagas.results import NewDraft
from sagas.steps import documents
from sagas.store.idempotency import Request
from sagas.texts import say
from sagas.use_cases.answers import Answer
from sagas.use_cases.births import Birth, GivenInput, Start
from sagas.use_cases.branches import WorkBranch, choose_branch
from sagas.use_cases.desk import Desk, hash_of, refusing_gitlab, request

PREPARE_BRANCH = "PREPARE_BRANCH"


async def start_balance(
    desk: Desk,
    user: User,
    *,
    project_path: str,
    issue_iid: int | None,
    branch: str | None,
    idempotency_key: str | None,
) -> Answer:
    """FR-ORCH-1: start the Balance saga on an issue's branch, or find the one that is live there."""
    asked = request(user, "startBalanceCalculation", idempotency_key, project_path, issue_iid, branch)
    async with refusing_gitlab():
        project, level = await desk.project(user, project_path)
        repeated = await desk.repeated(asked, project.id)
        if repeated is not None:
            return repeated
        work = await choose_branch(desk, project, level, issue_iid=issue_iid, branch=branch)
        await _refuse_unusable_input(desk, project, work)
    definition = desk.definitions.current["balance"]
    birth = Birth(
        definition=definition,
        state=_first_state(definition, work),
        project=project,
        branch=work.name,
        issue_iid=issue_iid,
        writes=tuple(definition.calculations),
        natural_key=f"balance:{project.id}:{work.name}",
        context=SagaContext(project.repo_url, project.default_branch or "", head=work.head),
        user=user,
    )
    return await bear(desk, birth, asked)


async def run_calculation(
    desk: Desk,
    user: User,
    *,
    project_path: str,
    issue_iid: int | None,
    branch: str | None,
    calculation: str,
    values: Json,
    idempotency_key: str | None,
) -> Answer:
    """FR-ORCH-3: one commit with the input, one task; the same values on the same branch are the same saga."""
    if calculation not in desk.catalogue.names:
        known = ", ".join(desk.catalogue.names)
        raise refused(
            RefusalCode.INVALID_INPUT,
            say("There is no calculation {calculation!r}; there are: {known}.", calculation=calculation, known=known),
            "calculation",
        )
    entry = desk.catalogue.calculation(calculation)
    problems = entry.validate(values)
    if not isinstance(values, dict):
        problems = problems or [
            Problem(RefusalCode.INVALID_INPUT, say("The values must be a JSON object."), ("values",))
        ]
    if problems:
        raise RefusedError(*problems)
    asked = request(user, "runCalculation", idempotency_key, project_path, issue_iid, branch, calculation, values)
    async with refusing_gitlab():
        project, level = await desk.project(user, project_path)
        repeated = await desk.repeated(asked, project.id)
        if repeated is not None:
            return repeated
        work = await choose_branch(desk, project, level, issue_iid=issue_iid, branch=branch)
        base = await _present(desk, project, work, entry.input_file)
    definition = desk.definitions.current[f"calculation_{calculation}"]
    values_hash = hash_of(values)
    context = SagaContext(project.repo_url, project.default_branch or "", head=work.head).with_facts(
        calculation, await_visit=0
    )
    birth = Birth(
        definition=definition,
        state=_first_state(definition, work),
        project=project,
        branch=work.name,
        issue_iid=issue_iid,
        writes=(calculation,),
        natural_key=f"calculation:{project.id}:{work.name}:{calculation}:{values_hash}",
        context=context,
        user=user,
        given=GivenInput(f"AWAIT_USER_{calculation.upper()}_INPUT", base, dict(values), values_hash),  # type: ignore[arg-type]  # an object, as checked above
    )
    return await bear(desk, birth, asked)


async def bear(desk: Desk, birth: Birth, asked: Request) -> Answer:
    """The one transaction of a start, shared with whoever starts at the same moment.

    Raises RefusedError(BRANCH_BUSY) where another live saga may write the same files on the branch.
    """
    return await desk.starts.add(Start(birth, asked, new_saga_id(), trace.current.get()))


def _first_state(definition: SagaDefinition, work: WorkBranch) -> str:
    return PREPARE_BRANCH if work.missing else definition.target(PREPARE_BRANCH, Trigger.DONE)


async def _refuse_unusable_input(desk: Desk, project: Project, work: WorkBranch) -> None:
    name = desk.catalogue.calculation("balance").input_file
    file = await desk.forge.get_file_content(project.id, name, ref=work.head)
    where = "the default branch, which the issue's branch is made from," if work.missing else f"the branch {work.name}"
    path = "issueIid" if work.missing else "branch"
    if file is None:
        raise refused(
            RefusalCode.NOT_FOUND,
            say("{name} is not on {where}, so there is nothing to calculate from.", name=name, where=where),
            path,
        )
    try:
        document = documents.parse(file)
    except TerminalError as broken:
        raise refused(RefusalCode.INVALID_INPUT, broken.message, path) from broken
    if not isinstance(document, dict):
        raise refused(
            RefusalCode.INVALID_INPUT, say("{name} on {where} must be a JSON object.", name=name, where=where), path
        )


async def _present(desk: Desk, project: Project, work: WorkBranch, path: str) -> NewDraft:
    file = await desk.forge.get_file_content(project.id, path, ref=CommitSha(work.head))
    if file is None:
        return NewDraft({}, None)
    try:
        return NewDraft(documents.parse(file), file.blob_id)
    except TerminalError:
        # The user replaces the whole file, so that a broken one need not be readable.
        return NewDraft({}, file.blob_id)

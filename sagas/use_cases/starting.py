"""Starting sagas: read and refuse first, then one transaction that either finds the live saga or bears a new one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sagas import trace
from sagas.change import Change
from sagas.context import SagaContext
from sagas.definition import SagaDefinition, Trigger
from sagas.errors import Problem, RefusalCode, RefusedError, TerminalError, refused
from sagas.ids import CommitSha
from sagas.models import Saga, SagaStatus
from sagas.ports import Json, Project, User
from sagas.results import NewDraft
from sagas.steps import documents
from sagas.steps.run import user_to_json
from sagas.store import commands, drafts, journal
from sagas.store.database import Connection
from sagas.store.idempotency import Request
from sagas.use_cases.branches import WorkBranch, choose_branch
from sagas.use_cases.desk import Answer, Desk, hash_of, keep_key, known_answer, refusing_gitlab, request

PREPARE_BRANCH = "PREPARE_BRANCH"


@dataclass(frozen=True, slots=True)
class Birth:
    """Everything that a new saga is born with."""

    definition: SagaDefinition
    state: str
    project: Project
    branch: str
    issue_iid: int | None
    writes: tuple[str, ...]
    natural_key: str
    context: SagaContext
    user: User
    given: "GivenInput | None" = None
    """The values of a single calculation, which its COMMIT step will read."""


@dataclass(frozen=True, slots=True)
class GivenInput:
    """The values given with the start, and the draft they are held against."""

    form: str
    base: NewDraft
    values: dict[str, Any]
    values_hash: str


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
        repeated = await desk.repeated(asked)
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
            RefusalCode.INVALID_INPUT, f"There is no calculation {calculation!r}; there are: {known}.", "calculation"
        )
    entry = desk.catalogue.calculation(calculation)
    problems = entry.validate(values)
    if not isinstance(values, dict):
        problems = problems or [Problem(RefusalCode.INVALID_INPUT, "The values must be a JSON object.", ("values",))]
    if problems:
        raise RefusedError(*problems)
    asked = request(user, "runCalculation", idempotency_key, project_path, issue_iid, branch, calculation, values)
    async with refusing_gitlab():
        project, level = await desk.project(user, project_path)
        repeated = await desk.repeated(asked)
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
    """The one transaction of a start.

    Raises RefusedError(BRANCH_BUSY) where another live saga may write the same files on the branch.
    """
    saga_id = uuid4()
    answer = await desk.database.run(lambda connection: _bear(connection, birth, asked, saga_id), point="start")
    if answer.created:
        desk.tell_of(answer.saga)
    return answer


async def _bear(connection: Connection, birth: Birth, asked: Request, saga_id: UUID) -> Answer:
    await commands.lock_branch(connection, birth.project.id, birth.branch)
    repeated = await known_answer(connection, asked)
    if repeated is not None:
        return repeated
    for live in await commands.live_on_branch(connection, birth.project.id, birth.branch):
        if live.natural_key == birth.natural_key:
            await keep_key(connection, asked, live.id)
            return Answer(live, live.id == saga_id)
        shared = set(live.writes) & set(birth.writes)
        if shared:
            raise _busy(live, sorted(shared))
    now = await commands.now(connection)
    change = Change(_new_row(birth, saga_id, now), birth.definition, now)
    data: Mapping[str, Any] = {"branch": birth.branch, "issueIid": birth.issue_iid}
    change.start(birth.state, actor=birth.user.name or birth.user.username, data=data)
    await journal.insert(connection, [change])
    if birth.given is not None:
        await drafts.submit(
            connection,
            saga_id,
            birth.given.form,
            0,
            base=birth.given.base,
            changed_at_version=1,
            values=birth.given.values,
            values_hash=birth.given.values_hash,
            user=dict(user_to_json(birth.user)),
            request_id=asked.id,
        )
    await keep_key(connection, asked, saga_id)
    return Answer(change.saga, created=True)


def _new_row(birth: Birth, saga_id: UUID, now: datetime) -> Saga:
    return Saga(
        id=saga_id,
        definition_name=birth.definition.name,
        definition_version=birth.definition.version,
        state=birth.state,
        visit=0,
        attempts=0,
        status=SagaStatus.RUNNING,
        version=0,
        context=birth.context.to_json(),
        project_id=birth.project.id,
        project_path=birth.project.path,
        issue_iid=birth.issue_iid,
        branch=birth.branch,
        writes=list(birth.writes),
        natural_key=birth.natural_key,
        started_by_id=birth.user.id,
        started_by=user_to_json(birth.user),
        look_interval_s=2.0,
        signals=0,
        signals_seen=0,
        traceparent=trace.current.get(),
        created_at=now,
        updated_at=now,
    )


def _busy(live: Saga, shared: list[str]) -> RefusedError:
    files = ", ".join(shared)
    return refused(
        RefusalCode.BRANCH_BUSY,
        f"Another calculation ({live.definition_name}, saga {live.id}) is at work on {live.branch} with the files of "
        f"{files}. Wait until it ends, or cancel it.",
        "branch",
    )


def _first_state(definition: SagaDefinition, work: WorkBranch) -> str:
    return PREPARE_BRANCH if work.missing else definition.target(PREPARE_BRANCH, Trigger.DONE)


async def _refuse_unusable_input(desk: Desk, project: Project, work: WorkBranch) -> None:
    name = desk.catalogue.calculation("balance").input_file
    file = await desk.forge.get_file_content(project.id, name, ref=work.head)
    where = "the default branch, which the issue's branch is made from," if work.missing else f"the branch {work.name}"
    path = "issueIid" if work.missing else "branch"
    if file is None:
        raise refused(RefusalCode.NOT_FOUND, f"{name} is not on {where}, so there is nothing to calculate from.", path)
    try:
        document = documents.parse(file)
    except TerminalError as broken:
        raise refused(RefusalCode.INVALID_INPUT, broken.message, path) from broken
    if not isinstance(document, dict):
        raise refused(RefusalCode.INVALID_INPUT, f"{name} on {where} must be a JSON object.", path)


async def _present(desk: Desk, project: Project, work: WorkBranch, path: str) -> NewDraft:
    file = await desk.forge.get_file_content(project.id, path, ref=CommitSha(work.head))
    if file is None:
        return NewDraft({}, None)
    try:
        return NewDraft(documents.parse(file), file.blob_id)
    except TerminalError:
        # The user replaces the whole file, so that a broken one need not be readable.
        return NewDraft({}, file.blob_id)

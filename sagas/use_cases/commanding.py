"""Commands on a live saga: advance, retry, pause, resume, cancel. None interrupts a leased step."""

from collections.abc import Callable
from typing import Any

from sagas import trace
from sagas.catalogue import Calculation, calculation_of
from sagas.change import Change
from sagas.definition import SagaDefinition, StepKind, Trigger, back_to
from sagas.errors import Problem, RefusalCode, RefusedError, TerminalError, refused
from sagas.ids import ProjectId, SagaId
from sagas.models import EventType, Saga, SagaStatus, Wanted
from sagas.ports import Json, User
from sagas.results import NewDraft
from sagas.steps import documents
from sagas.steps.run import user_to_json
from sagas.store import drafts
from sagas.store.commands import Asked, Seen
from sagas.store.drafts import Submission
from sagas.texts import say
from sagas.use_cases.answers import Answer
from sagas.use_cases.deciding import Command, Decision
from sagas.use_cases.desk import Desk, hash_of, not_found, refuse_unstorable, refusing_gitlab, request

PAUSABLE = frozenset({SagaStatus.RUNNING, SagaStatus.AWAITING_INPUT, SagaStatus.AWAITING_RESULT})


async def advance(
    desk: Desk,
    user: User,
    saga_id: SagaId,
    *,
    step: str,
    values: Json,
    expected_version: int | None,
    idempotency_key: str | None,
) -> Answer:
    """Take the user's whole document for the step that waits for it, and move on to its commit."""
    refuse_unstorable(step, "step")
    asked = request(user, "advanceSaga", idempotency_key, str(saga_id), step, values)
    values_hash = hash_of(values)

    def rule(seen: Seen, definition: SagaDefinition) -> Decision | None:
        saga = seen.saga
        _expect_same_step(saga, expected_version, seen)
        if saga.state != step or saga.status is not SagaStatus.AWAITING_INPUT:
            raise _wrong_step(saga, step)
        draft = seen.form
        if draft is None or draft.visit != saga.visit:
            raise AssertionError(f"saga {saga.id} waits in {step} without a draft")
        _expect(saga, expected_version, draft.changed_at_version)
        calculation = calculation_of(definition, definition.step(step).calculation or "")
        document = _checked(calculation, values)
        change = Change(saga, definition, seen.now)
        change.context = change.context.with_facts(calculation.name, await_visit=saga.visit)
        given = Submission(
            saga_id=saga.id,
            state=step,
            visit=saga.visit,
            base=NewDraft(draft.document, draft.blob_id),
            changed_at_version=draft.changed_at_version,
            values=document,
            values_hash=values_hash,
            user=dict(user_to_json(user)),
            request_id=asked.id,
        )
        data = {"step": step, "calculation": calculation.name, "file": calculation.input_file}
        change.move(Trigger.INPUT_RECEIVED, EventType.INPUT_RECEIVED, actor=_name(user), data=data)
        return Decision(change, given)

    def natural(seen: Seen) -> Answer | None:
        # The same values for the same visit, told twice: the first telling stands.
        given = seen.form
        waiting = seen.saga.state == step and seen.saga.status is SagaStatus.AWAITING_INPUT
        if given is None or waiting or given.submitted_hash != values_hash:
            return None
        return Answer(seen.saga, given.request_id == asked.id)

    return await _command(desk, user, Asked(saga_id, asked, expected_version, step), rule, natural=natural)


async def retry(
    desk: Desk,
    user: User,
    saga_id: SagaId,
    *,
    from_step: str | None,
    expected_version: int | None,
    idempotency_key: str | None,
) -> Answer:
    """Go on with a failed saga: its failed step again, or back to an earlier one."""
    asked = request(user, "retrySaga", idempotency_key, str(saga_id), from_step)
    async with refusing_gitlab():
        seen = await desk.saga(user, saga_id)
    repeated = await desk.repeated(asked, seen.project_id)
    if repeated is not None:
        return repeated
    draft = await _draft_for(desk, seen, from_step)

    def rule(seen: Seen, definition: SagaDefinition) -> Decision | None:
        saga = seen.saga
        _expect_unmoved(saga, expected_version, seen)
        if saga.status is not SagaStatus.FAILED:
            raise _wrong_state(saga, say("Only a failed saga can be retried."))
        change = Change(saga, definition, seen.now)
        if from_step is None or from_step == saga.state:
            change.retry(_name(user))
            return Decision(change)
        if from_step not in definition.retry_targets(saga.state):
            allowed = ", ".join([saga.state, *definition.retry_targets(saga.state)])
            raise refused(
                RefusalCode.INVALID_INPUT,
                say(
                    "{from_step} is no step to go back to from here; there are: {allowed}.",
                    from_step=from_step,
                    allowed=allowed,
                ),
                "fromStep",
            )
        change.move(back_to(from_step), EventType.RETRIED, actor=_name(user), data={"fromStep": from_step}, draft=draft)
        return Decision(change)

    return await _command(desk, user, Asked(saga_id, asked, expected_version), rule)


async def pause(
    desk: Desk, user: User, saga_id: SagaId, *, expected_version: int | None, idempotency_key: str | None
) -> Answer:
    """Let the saga rest; a step under way settles its effect first."""
    asked = request(user, "pauseSaga", idempotency_key, str(saga_id))

    def rule(seen: Seen, definition: SagaDefinition) -> Decision | None:
        saga = seen.saga
        if saga.status is SagaStatus.PAUSED or saga.wanted is Wanted.PAUSE:
            return None
        _expect_unmoved(saga, expected_version, seen)
        if saga.status not in PAUSABLE:
            raise _wrong_state(saga, say("Only a saga that runs or waits can be paused."))
        change = Change(saga, definition, seen.now)
        if saga.lease_token is None:
            change.pause(_name(user))
        else:
            change.want(Wanted.PAUSE, {"actor": _name(user)}, EventType.PAUSE_REQUESTED)
        return Decision(change)

    return await _command(desk, user, Asked(saga_id, asked, expected_version), rule)


async def resume(
    desk: Desk, user: User, saga_id: SagaId, *, expected_version: int | None, idempotency_key: str | None
) -> Answer:
    """Go on with a paused saga; one whose pause was asked for but not yet obeyed just goes on."""
    asked = request(user, "resumeSaga", idempotency_key, str(saga_id))

    def rule(seen: Seen, definition: SagaDefinition) -> Decision | None:
        saga = seen.saga
        _expect_unmoved(saga, expected_version, seen)
        if saga.status is not SagaStatus.PAUSED and saga.wanted is not Wanted.PAUSE:
            raise _wrong_state(saga, say("Only a paused saga can be resumed."))
        change = Change(saga, definition, seen.now)
        change.resume(_name(user))
        return Decision(change)

    return await _command(desk, user, Asked(saga_id, asked, expected_version), rule)


async def cancel(
    desk: Desk,
    user: User,
    saga_id: SagaId,
    *,
    compensate: bool,
    reason: str | None,
    expected_version: int | None,
    idempotency_key: str | None,
) -> Answer:
    """End the saga; with `compensate`, the engine undoes in GitLab what it did before it is CANCELLED."""
    refuse_unstorable(reason, "reason")
    if reason is not None and len(reason) > 1000:
        raise refused(
            RefusalCode.INVALID_INPUT,
            say("A reason has up to 1000 characters, this one {length}.", length=len(reason)),
            "reason",
        )
    asked = request(user, "cancelSaga", idempotency_key, str(saga_id), compensate, reason)

    def rule(seen: Seen, definition: SagaDefinition) -> Decision | None:
        saga = seen.saga
        if saga.status in {SagaStatus.CANCELLING, SagaStatus.CANCELLED}:
            return None
        _expect_unmoved(saga, expected_version, seen)
        if saga.status is SagaStatus.COMPLETED:
            raise _wrong_state(saga, say("A completed saga cannot be cancelled."))
        change = Change(saga, definition, seen.now)
        wanted: dict[str, Any] = {"actor": _name(user), "compensate": compensate, "reason": reason}
        change.cancel(wanted)
        return Decision(change)

    return await _command(desk, user, Asked(saga_id, asked, expected_version), rule)


async def _command(
    desk: Desk,
    user: User,
    asked: Asked,
    rule: Callable[[Seen, SagaDefinition], Decision | None],
    *,
    natural: Callable[[Seen], Answer | None] | None = None,
) -> Answer:
    async with refusing_gitlab():
        lasting = await desk.lasting(user, SagaId(asked.saga_id))
    definition = await desk.definitions.get(lasting.definition_name, lasting.definition_version)
    command = Command(
        asked,
        absent=not_found(("sagaId",)),
        rule=lambda seen: rule(seen, definition),
        natural=natural,
        traceparent=trace.current.get(),
    )
    return await desk.command(command)


def _checked(calculation: Calculation, values: Json) -> dict[str, Any]:
    problems = calculation.validate(values)
    if problems:
        raise RefusedError(*problems)
    if not isinstance(values, dict):
        raise RefusedError(Problem(RefusalCode.INVALID_INPUT, say("The values must be a JSON object."), ("values",)))
    return dict(values)


async def _draft_for(desk: Desk, saga: Saga, from_step: str | None) -> NewDraft | None:
    """What the form starts from when a retry goes back to it: what the user gave last, unless the file is newer."""
    definition = await desk.definitions.get(saga.definition_name, saga.definition_version)
    if from_step is None or from_step not in definition.by_name:
        return None
    step = definition.step(from_step)
    if step.kind is not StepKind.INPUT or step.calculation is None:
        return None
    calculation = calculation_of(definition, step.calculation)
    async with refusing_gitlab():
        file = await desk.forge.get_file_content(ProjectId(saga.project_id), calculation.input_file, ref=saga.branch)
    given = await desk.database.read(lambda connection: drafts.latest_draft(connection, saga.id, from_step))
    blob = None if file is None else file.blob_id
    own = given is not None and given.submitted is not None
    if own and given is not None and (file is None or blob in {given.blob_id, _committed_blob(saga, step.calculation)}):
        return NewDraft(given.submitted, blob)
    if file is None:
        return NewDraft({} if given is None else given.document, None)
    try:
        return NewDraft(documents.parse(file), blob)
    except TerminalError as broken:
        raise refused(RefusalCode.INVALID_INPUT, broken.message, "fromStep") from broken


def _committed_blob(saga: Saga, calculation: str) -> str | None:
    facts = saga.context.get("calculations", {}).get(calculation, {})
    blob: str | None = facts.get("inputBlob")
    return blob


def _expect(saga: Saga, expected: int | None, changed_at: int) -> None:
    if expected is None or changed_at <= expected <= saga.version:
        return
    raise refused(
        RefusalCode.VERSION_CONFLICT,
        say(
            "You saw version {expected}, but the form has changed at version {changed_at} (now {version}). "
            "Look at it again.",
            expected=expected,
            changed_at=changed_at,
            version=saga.version,
        ),
        "expectedVersion",
    )


def _expect_known(saga: Saga, expected: int) -> None:
    if expected <= saga.version:
        return
    raise refused(
        RefusalCode.VERSION_CONFLICT,
        say(
            "The saga is at version {version}, so nobody has seen version {expected} of it. Look at it again.",
            expected=expected,
            version=saga.version,
        ),
        "expectedVersion",
    )


def _expect_same_step(saga: Saga, expected: int | None, seen: Seen) -> None:
    if expected is None:
        return
    _expect_known(saga, expected)
    if seen.left:
        raise refused(
            RefusalCode.VERSION_CONFLICT,
            say(
                "You saw version {expected}, but the saga has left the step it was in then: it is in {state} now "
                "(version {version}). Look at it again.",
                expected=expected,
                state=saga.state,
                version=saga.version,
            ),
            "expectedVersion",
        )


def _expect_unmoved(saga: Saga, expected: int | None, seen: Seen) -> None:
    if expected is None:
        return
    _expect_known(saga, expected)
    if seen.moved:
        raise refused(
            RefusalCode.VERSION_CONFLICT,
            say(
                "You saw version {expected}, but the saga has moved on to version {version}. Look at it again.",
                expected=expected,
                version=saga.version,
            ),
            "expectedVersion",
        )


def _wrong_step(saga: Saga, step: str) -> RefusedError:
    return refused(
        RefusalCode.WRONG_STATE,
        say(
            "The saga does not wait for {step}: it is {status} in {state}.",
            step=step,
            status=saga.status,
            state=saga.state,
        ),
        "step",
    )


def _wrong_state(saga: Saga, rule: str) -> RefusedError:
    return refused(
        RefusalCode.WRONG_STATE,
        say("{rule} This one is {status} in {state}.", rule=rule, status=saga.status, state=saga.state),
        "sagaId",
    )


def _name(user: User) -> str:
    return user.name or user.username

"""How a saga's row and journal change together: the vocabulary in which every decision is written.

A `Change` starts from the row as locked, moves it by intention (`enter`, `fail`, `pause`…) and collects the journal
entries; it does no I/O and takes the time from the database. `store/` writes the whole of it in one transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sagas.catalogue import Calculation, calculation_of
from sagas.context import SagaContext, StepStatus
from sagas.definition import Action, SagaDefinition, StepKind
from sagas.errors import SagaError
from sagas.ids import SagaId, effect_key, task_id
from sagas.models import CalculationTask, EventType, Saga, SagaStatus, TaskStatus, Wanted
from sagas.results import NewDraft, TaskChange
from sagas.texts import told

ENGINE = "engine"
FIRST_LOOK_S = 2.0
FORM_LOOK_S = 15.0

COLUMNS: tuple[str, ...] = tuple(column.name for column in fields(Saga))


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A journal entry before it is written."""

    saga_id: UUID
    version: int
    type: EventType
    from_state: str | None
    to_state: str
    status: SagaStatus
    actor: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DraftRow:
    """A draft before it is written."""

    saga_id: UUID
    state: str
    visit: int
    draft: NewDraft
    changed_at_version: int


@dataclass(slots=True)
class Change:
    """A saga on its way from one stored version to the next."""

    saga: Saga
    """The row as it will be."""
    definition: SagaDefinition
    now: datetime
    lease: timedelta = timedelta(0)
    """The length of the lease under which the change is made; zero for commands, which hold none."""
    known: InitVar[SagaContext | None] = None
    """The row's context, for whoever has read it already."""
    context: SagaContext = field(init=False)
    events: list[NewEvent] = field(default_factory=list)
    drafts: list[DraftRow] = field(default_factory=list)
    new_tasks: list[CalculationTask] = field(default_factory=list)
    tasks: tuple[TaskChange, ...] = ()
    consumed: tuple[UUID, ...] = ()
    keep_lease: bool = False
    """Whether the present owner goes straight on with the next step."""

    def __post_init__(self, known: SagaContext | None) -> None:
        """Work on a copy: the row as locked stays as it was."""
        self.saga = replace(self.saga)
        self.context = SagaContext.from_json(self.saga.context) if known is None else known

    # -- the journal

    def journal(
        self,
        type_: EventType,
        *,
        data: Mapping[str, Any] | None = None,
        actor: str = ENGINE,
        from_state: str | None = None,
    ) -> None:
        """Add an entry for the row as it stands now; it takes the next version."""
        self.saga.version += 1
        self.events.append(
            NewEvent(
                saga_id=self.saga.id,
                version=self.saga.version,
                type=type_,
                from_state=from_state if from_state is not None else self.saga.state,
                to_state=self.saga.state,
                status=self.saga.status,
                actor=actor,
                data=told(data or {}),
            )
        )

    # -- movements

    def move(
        self,
        trigger: str,
        type_: EventType,
        *,
        data: Mapping[str, Any] | None = None,
        actor: str = ENGINE,
        draft: NewDraft | None = None,
    ) -> None:
        """Send the trigger to the chart, enter the target and journal it.

        Raises TriggerRefusedError where the chart has no such transition.
        """
        source = self.saga.state
        target = self.definition.target(source, trigger)
        self.context = self.context.with_step(source, status=StepStatus.DONE, finished_at=self._iso(), error=None)
        self._mark_path(source, target)
        self._enter(target)
        completed = self.saga.status is SagaStatus.COMPLETED
        self.journal(EventType.COMPLETED if completed else type_, data=data, actor=actor, from_state=source)
        if draft is not None:
            self.drafts.append(DraftRow(self.saga.id, target, self.saga.visit, draft, self.saga.version))

    def start(self, state: str, *, actor: str, data: Mapping[str, Any]) -> None:
        """Enter the first state and journal the birth; the row must be new, with version 0."""
        self._mark_path(self.definition.initial, state, including_source=True)
        self._enter(state)
        self.journal(EventType.STARTED, data=data, actor=actor)
        self.events[-1] = _born(self.events[-1])

    def _mark_path(self, source: str, target: str, *, including_source: bool = False) -> None:
        steps = self.definition.steps
        here, there = self.definition.order(source), self.definition.order(target)
        for step in steps[here if including_source else here + 1 : there]:
            self.context = self.context.with_step(step.name, status=StepStatus.SKIPPED)
        if there <= here:
            for step in steps[there + 1 :]:
                if self.context.step(step.name).visit:
                    self.context = self.context.with_step(step.name, status=StepStatus.PENDING, error=None)

    def _enter(self, state: str) -> None:
        step = self.definition.step(state)
        visit = self.context.step(state).visit + 1
        saga = self.saga
        saga.state, saga.visit, saga.attempts = state, visit, 0
        saga.error = saga.next_attempt_at = saga.deadline_at = None
        saga.wanted = saga.wanted_by = None
        if step.kind is StepKind.FINAL:
            saga.status, saga.finished_at = SagaStatus.COMPLETED, self.now
            self._rest()
            return
        active = step.kind is StepKind.ACTION
        self.context = self.context.with_step(
            state,
            visit=visit,
            status=StepStatus.ACTIVE if active else StepStatus.WAITING,
            attempts=0,
            started_at=self._iso(),
            finished_at=None,
            error=None,
            commit=None,
        )
        if step.action is Action.DISPATCH and step.calculation is not None:
            self._queue_task(step.calculation)
        self._begin_deadline()
        self.resume_status()

    def _begin_deadline(self) -> None:
        step = self.definition.step(self.saga.state)
        if step.kind is StepKind.RESULT and step.calculation is not None:
            deadline_s = calculation_of(self.definition, step.calculation).deadline_s
            self.saga.deadline_at = self.now + timedelta(seconds=deadline_s)

    def _queue_task(self, name: str) -> None:
        calculation = calculation_of(self.definition, name)
        saga = self.saga
        identity = task_id(effect_key(SagaId(saga.id), saga.state, saga.visit))
        head = self.context.head
        if head is None:
            raise AssertionError(f"saga {saga.id} dispatches {name} without a recorded commit")
        self.context = self.context.with_facts(name, task_id=str(identity))
        self.new_tasks.append(
            CalculationTask(
                id=identity,
                saga_id=saga.id,
                state=saga.state,
                visit=saga.visit,
                calculation=name,
                status=TaskStatus.QUEUED,
                name=calculation.task,
                queue=calculation.queue,
                project_id=saga.project_id,
                repo_url=self.context.repo_url,
                branch=saga.branch,
                commit_hash=head,
                input_files=list(self.definition_input_files(calculation)),
                output_file=calculation.output_file,
                input_blobs={},
            )
        )

    def definition_input_files(self, calculation: Calculation) -> tuple[str, ...]:
        """The files that the calculation reads: its own input, its dependencies' outputs, and what else it uses."""
        outputs = [calculation_of(self.definition, name).output_file for name in calculation.depends_on]
        return (calculation.input_file, *outputs, *calculation.uses_files)

    def resume_status(self) -> None:
        """Give the row the status and wake-up times that its state calls for.

        A waiting step whose summary is ACTIVE was retried: the engine looks whether all is in order before it waits again.
        """
        saga = self.saga
        kind = self.definition.step(saga.state).kind
        if kind is StepKind.ACTION or self.context.step(saga.state).status is StepStatus.ACTIVE:
            saga.status = SagaStatus.RUNNING
            self.go_on()
        elif kind is StepKind.INPUT:
            saga.status, saga.waiting_since = SagaStatus.AWAITING_INPUT, self.now
            self._park(None, look_s=FORM_LOOK_S)
        else:
            saga.status, saga.waiting_since = SagaStatus.AWAITING_RESULT, self.now
            self._park(self._next_reading(), look_s=FIRST_LOOK_S)

    # -- ends and stops

    def fail(self, error: SagaError) -> None:
        """Stop with a code until a person retries or cancels."""
        self._set_error(error, retryable=False)
        self.context = self.context.with_step(self.saga.state, status=StepStatus.FAILED, error=self.saga.error)
        self.saga.status = SagaStatus.FAILED
        self.saga.wanted = self.saga.wanted_by = self.saga.deadline_at = None
        self._rest()
        self.journal(EventType.FAILED, data={"code": error.code, "message": error.message})

    def try_again(self, error: SagaError, *, delay_s: float) -> None:
        """Keep the visit and come back after the delay."""
        saga = self.saga
        saga.attempts += 1
        self._set_error(error, retryable=True)
        self.context = self.context.with_step(saga.state, attempts=saga.attempts, error=saga.error)
        saga.next_attempt_at = self.now + timedelta(seconds=delay_s)
        self._park(None, look_s=None)
        # News do not shorten a back-off: the other side's wish stands above them.
        saga.due_at = saga.next_attempt_at
        if saga.status is SagaStatus.AWAITING_RESULT:
            saga.look_at = self.now + timedelta(seconds=saga.look_interval_s)
        data = {
            "code": error.code,
            "message": error.message,
            "attempt": saga.attempts,
            "retryInSeconds": round(delay_s, 3),
        }
        self.journal(EventType.ATTEMPT_FAILED, data=data)

    def pause(self, actor: str) -> None:
        """Rest until resumed; signals are kept and deadlines go on."""
        self.saga.status = SagaStatus.PAUSED
        self.saga.wanted = self.saga.wanted_by = None
        self._rest()
        self.journal(EventType.PAUSED, actor=actor)

    def retry(self, actor: str) -> None:
        """Do the failed step again in the same visit; a failed wait looks for a late result before it publishes anew."""
        saga = self.saga
        saga.error = saga.next_attempt_at = None
        saga.attempts = 0
        saga.status = SagaStatus.RUNNING
        self.context = self.context.with_step(saga.state, status=StepStatus.ACTIVE, error=None, finished_at=None)
        self.go_on()
        self.journal(EventType.RETRIED, actor=actor)

    def resume(self, actor: str) -> None:
        """Go on from a pause, or forget one that was asked for and not yet obeyed."""
        obeyed = self.saga.status is SagaStatus.PAUSED
        self.saga.wanted = self.saga.wanted_by = None
        if obeyed:
            self.saga.error = None
            self.context = self.context.with_step(self.saga.state, error=None)
            self.resume_status()
        self.journal(EventType.RESUMED, actor=actor)

    def want(self, wanted: Wanted, how: Mapping[str, Any], type_: EventType) -> None:
        """Tell the owner of the leased step what is wanted; it settles its effect first, then obeys."""
        self.saga.wanted, self.saga.wanted_by = wanted, dict(how)
        self.journal(type_, actor=str(how["actor"]))

    def cancel(self, how: Mapping[str, Any]) -> None:
        """Begin to cancel: CANCELLING at once; a leased step is settled by its owner before the undoing begins."""
        saga = self.saga
        saga.status = SagaStatus.CANCELLING
        saga.wanted, saga.wanted_by = Wanted.CANCEL, dict(how)
        saga.look_at = saga.waiting_since = saga.next_attempt_at = saga.deadline_at = None
        if saga.lease_token is None:
            saga.due_at = self.now
        self.journal(EventType.CANCEL_REQUESTED, actor=str(how["actor"]), data=_reason(saga))

    def cancelled(self, kept: Sequence[Mapping[str, Any]] = ()) -> None:
        """Nothing is left to undo: the end. `kept` are the workers' results that stay, for the journal."""
        saga = self.saga
        saga.status, saga.finished_at = SagaStatus.CANCELLED, self.now
        saga.wanted = None
        self._rest()
        data = _reason(saga) | ({"kept": [dict(result) for result in kept]} if kept else {})
        self.journal(EventType.CANCELLED, actor=(saga.wanted_by or {}).get("actor", ENGINE), data=data)

    # -- wake-ups

    def go_on(self) -> None:
        """Have the next step done at once, by the present owner where there is one."""
        saga = self.saga
        saga.look_at = saga.waiting_since = None
        if saga.lease_token is None:
            saga.due_at = self.now
        else:
            self.keep_lease = True
            if saga.due_at is None or not self.lease / 2 < saga.due_at - self.now <= self.lease:
                # Else left as it is: its owner renews it by itself, and a row none of whose indexed columns changes
                # costs PostgreSQL no entry in any index (a HOT update).
                saga.due_at = self.now + self.lease

    def _park(self, due_at: datetime | None, *, look_s: float | None) -> None:
        saga = self.saga
        saga.lease_token, self.keep_lease = None, False
        saga.due_at = due_at
        saga.look_at = None if look_s is None else self.now + timedelta(seconds=look_s)
        saga.look_interval_s = look_s or FIRST_LOOK_S

    def wait_again(self) -> None:
        """A failed wait is in order again: the same visit waits on, for a result with its whole deadline."""
        saga = self.saga
        saga.error = saga.next_attempt_at = None
        saga.attempts = 0
        self.context = self.context.with_step(saga.state, status=StepStatus.WAITING, attempts=0, error=None)
        self._begin_deadline()
        self.resume_status()
        self.journal(EventType.RECONCILED)

    def wait_on(self) -> None:
        """Go back to waiting, as before; news that came meanwhile wake it at once."""
        saga = self.saga
        saga.lease_token, self.keep_lease = None, False
        saga.due_at = self._next_reading()
        saga.error = saga.next_attempt_at = None
        saga.attempts = 0
        self.context = self.context.with_step(saga.state, error=None)

    def _next_reading(self) -> datetime | None:
        # Only a step that waits for a result reads signals; an early one is kept until then.
        return self.now if self.saga.signals > self.saga.signals_seen else self.saga.deadline_at

    def _rest(self) -> None:
        saga = self.saga
        saga.lease_token, self.keep_lease = None, False
        saga.due_at = saga.look_at = saga.next_attempt_at = saga.waiting_since = None

    def wants(self, wanted: Wanted) -> bool:
        """Whether a command asked for this while the step was leased."""
        return self.saga.wanted is wanted

    def finish(self) -> Saga:
        """The row to write."""
        self.saga.context = self.context.to_json()
        self.saga.updated_at = self.now
        return self.saga

    def _set_error(self, error: SagaError, *, retryable: bool) -> None:
        facts = {"code": error.code, "message": error.message, "retryable": retryable, "occurredAt": self._iso()}
        self.saga.error = told(facts)

    def _iso(self) -> str:
        return self.now.isoformat()


def _born(event: NewEvent) -> NewEvent:
    return NewEvent(
        event.saga_id, event.version, event.type, None, event.to_state, event.status, event.actor, event.data
    )


def _reason(saga: Saga) -> dict[str, Any]:
    reason = (saga.wanted_by or {}).get("reason")
    return {} if reason is None else {"reason": reason}

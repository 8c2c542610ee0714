"""What the API shows of a saga, computed from its row and its definition alone: pure, so that a page needs no journal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, assert_never

from sagas import merge_request
from sagas.catalogue import Calculation, calculation_of
from sagas.context import SagaContext, StepStatus, StepSummary
from sagas.definition import SagaDefinition, Step, StepKind
from sagas.models import Draft, Saga, SagaStatus, Wanted
from sagas.ports import Json
from sagas.states import next_step_name
from sagas.texts import say


class SagaAction(StrEnum):
    """What may be done with a saga; whether a certain user may is decided where the rights are known."""

    ADVANCE = "ADVANCE"
    RETRY = "RETRY"
    PAUSE = "PAUSE"
    RESUME = "RESUME"
    CANCEL = "CANCEL"
    CREATE_MERGE_REQUEST = "CREATE_MERGE_REQUEST"


_ACTIONS: Mapping[SagaStatus, tuple[SagaAction, ...]] = {
    SagaStatus.RUNNING: (SagaAction.PAUSE, SagaAction.CANCEL),
    SagaStatus.AWAITING_INPUT: (SagaAction.ADVANCE, SagaAction.PAUSE, SagaAction.CANCEL),
    SagaStatus.AWAITING_RESULT: (SagaAction.PAUSE, SagaAction.CANCEL),
    SagaStatus.PAUSED: (SagaAction.RESUME, SagaAction.CANCEL),
    SagaStatus.FAILED: (SagaAction.RETRY, SagaAction.CANCEL),
    SagaStatus.CANCELLING: (),
    SagaStatus.CANCELLED: (),
    SagaStatus.COMPLETED: (SagaAction.CREATE_MERGE_REQUEST,),
}

_WAITED_FOR: Mapping[str, str] = {
    "GITLAB": "GitLab",
    "BROKER": say("the broker"),
    "DATABASE": say("the database"),
}
"""By the first word of a retryable error's code."""


_OVER = frozenset({StepStatus.DONE, StepStatus.SKIPPED})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a saga has come; skipped steps count as completed. `fraction` is from 0 to 1."""

    completed_steps: int
    total_steps: int

    @property
    def fraction(self) -> float:
        """Completed of total."""
        return self.completed_steps / self.total_steps


@dataclass(frozen=True, slots=True)
class StepView:
    """One state of the chart, as its latest visit left it."""

    name: str
    kind: StepKind
    calculation: str | None
    visit: int
    status: StepStatus
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    error: Mapping[str, Any] | None
    commit: Mapping[str, Any] | None
    """{sha, webUrl, message}."""


@dataclass(frozen=True, slots=True)
class PendingInput:
    """The form that a saga waits for."""

    step: str
    calculation: Calculation
    draft: Json
    file: str
    expected_version: int


@dataclass(frozen=True)
class SagaView:
    """A saga's row, read with the definition that it runs by."""

    row: Saga
    definition: SagaDefinition

    @cached_property
    def steps(self) -> tuple[StepView, ...]:
        """Every state but the last, in the order of the happy path."""
        return tuple(self._step(step) for step in self.definition.steps if step.kind is not StepKind.FINAL)

    @property
    def progress(self) -> Progress:
        """How many of the steps are done or were not needed; without a view of each, as each saga of a page is asked."""
        working, here = self.definition.working_steps, self.definition.step(self.row.state)
        # What lies behind is done or was not needed, unless it was undone; what lies ahead is neither.
        behind = sum(place < self._place for place in working.values())
        present = (
            here.name in working
            and self._status(here, StepSummary.from_json(self._summaries.get(here.name, {}))) in _OVER
        )
        return Progress(behind - self._undone_behind() + present, len(working))

    @property
    def next_step(self) -> str | None:
        """`<CALCULATION>_CALCULATION` of the present state, or of the first to come; None at the end."""
        if not self.row.status.live:
            return None
        ahead = self.definition.steps[self._place :]
        calculation = next((step.calculation for step in ahead if step.calculation is not None), None)
        return None if calculation is None else next_step_name(calculation)

    @property
    def waiting_for(self) -> str | None:
        """A user's name, a worker's queue, GitLab, the broker; None while it runs."""
        match self.row.status:
            case SagaStatus.AWAITING_INPUT:
                starter = self.row.started_by
                return str(starter.get("name") or starter["username"])
            case SagaStatus.AWAITING_RESULT:
                calculation = self._calculation
                return None if calculation is None else calculation.queue
            case SagaStatus.RUNNING | SagaStatus.CANCELLING:
                error = self.row.error
                if error is None or not error["retryable"]:
                    return None
                return _WAITED_FOR.get(str(error["code"]).partition("_")[0])
            case SagaStatus.PAUSED | SagaStatus.FAILED | SagaStatus.CANCELLED | SagaStatus.COMPLETED:
                return None
            case unknown:
                assert_never(unknown)

    @property
    def available_actions(self) -> tuple[SagaAction, ...]:
        """What its status allows."""
        if self.row.definition_name == merge_request.NAME and self.row.status is SagaStatus.COMPLETED:
            return ()
        actions = _ACTIONS[self.row.status]
        if self.row.wanted is Wanted.PAUSE:
            # The pause was asked for and waits for the step under way: it can still be taken back.
            return tuple(SagaAction.RESUME if action is SagaAction.PAUSE else action for action in actions)
        return actions

    @property
    def retry_steps(self) -> tuple[str, ...]:
        """The steps from which a retry may go on now, the failed one first; empty where there is nothing to retry."""
        if SagaAction.RETRY not in self.available_actions:
            return ()
        return (self.row.state, *self.definition.retry_targets(self.row.state))

    def pending_input(self, draft: Draft | None) -> PendingInput | None:
        """The form that it waits for, with the draft of the present visit; None where it waits for none."""
        calculation = self._calculation
        if self.row.status is not SagaStatus.AWAITING_INPUT or draft is None or calculation is None:
            return None
        return PendingInput(
            step=self.row.state,
            calculation=calculation,
            draft=draft.document,
            file=calculation.input_file,
            expected_version=self.row.version,
        )

    def _undone_behind(self) -> int:
        working = self.definition.working_steps
        return sum(
            summary.get("status") == StepStatus.COMPENSATED and working.get(name, self._place) < self._place
            for name, summary in self._summaries.items()
        )

    @property
    def _summaries(self) -> Mapping[str, Mapping[str, Any]]:
        """The steps' summaries as they are stored."""
        stored: Mapping[str, Mapping[str, Any]] = self.row.context.get("steps", {})
        return stored

    @cached_property
    def _context(self) -> SagaContext:
        return SagaContext.from_json(self.row.context)

    @cached_property
    def _place(self) -> int:
        return self.definition.order(self.row.state)

    @property
    def _calculation(self) -> Calculation | None:
        name = self.definition.step(self.row.state).calculation
        return None if name is None else calculation_of(self.definition, name)

    def _step(self, step: Step) -> StepView:
        summary = self._context.step(step.name)
        here = step.name == self.row.state
        status = self._status(step, summary)
        shows_error = status in {StepStatus.ACTIVE, StepStatus.WAITING, StepStatus.FAILED}
        return StepView(
            name=step.name,
            kind=step.kind,
            calculation=step.calculation,
            visit=summary.visit,
            status=status,
            attempts=self.row.attempts if here else summary.attempts,
            started_at=_time(summary.started_at),
            finished_at=_time(summary.finished_at),
            error=(self.row.error if here else summary.error) if shows_error else None,
            commit=summary.commit,
        )

    def _status(self, step: Step, summary: StepSummary) -> StepStatus:
        if summary.status is StepStatus.COMPENSATED:
            return StepStatus.COMPENSATED
        place = self.definition.order(step.name)
        if place > self._place:
            # Also what was done before a retry went back: it is to be done again.
            return StepStatus.PENDING
        if place < self._place:
            return summary.status if summary.status is StepStatus.DONE else StepStatus.SKIPPED
        return self._present_status(step, summary)

    def _present_status(self, step: Step, summary: StepSummary) -> StepStatus:
        match self.row.status:
            case SagaStatus.RUNNING:
                return StepStatus.ACTIVE
            case SagaStatus.AWAITING_INPUT | SagaStatus.AWAITING_RESULT | SagaStatus.PAUSED:
                return StepStatus.WAITING
            case SagaStatus.FAILED:
                return StepStatus.FAILED
            case SagaStatus.CANCELLING | SagaStatus.CANCELLED:
                # Its effect was settled before the undoing began: it happened, or it never will.
                unsettled = {StepStatus.ACTIVE, StepStatus.WAITING}
                return StepStatus.PENDING if summary.status in unsettled else summary.status
            case SagaStatus.COMPLETED:
                raise AssertionError(f"a completed saga is in {step.name}")
            case unknown:
                assert_never(unknown)


def _time(iso: str | None) -> datetime | None:
    return None if iso is None else datetime.fromisoformat(iso)

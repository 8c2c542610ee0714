"""From what a step reports to the next version of its saga: pure, under the row's lock, one rule per kind of report."""

import random
from datetime import datetime, timedelta
from typing import assert_never

from sagas.change import Change
from sagas.context import SagaContext, StepStatus
from sagas.definition import SagaDefinition
from sagas.errors import RetryableError
from sagas.models import EventType, Saga, SagaStatus, Wanted
from sagas.results import Advanced, Cancelled, Compensated, Failed, Stayed, StepResult, TryAgain, Waiting

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 300.0

_EFFECTS = frozenset(
    {EventType.COMMITTED, EventType.COMMIT_NOT_NEEDED, EventType.BRANCH_CREATED, EventType.TASK_PUBLISHED}
)


def decide(
    saga: Saga,
    definition: SagaDefinition,
    result: StepResult,
    *,
    now: datetime,
    lease: timedelta,
    signals_seen: int,
    context: SagaContext | None = None,
) -> Change:
    """The change that the report of a step makes to its saga, as locked now.

    `signals_seen` is how many signals the step knew of; what came later wakes the saga again. `context` is the row's,
    for whoever has read it already.
    """
    change = Change(saga, definition, now, lease, context)
    if not isinstance(result, TryAgain):
        # A failed attempt may not have come to reading its signals: they stay unseen, and count when it rests.
        change.saga.signals_seen = max(saga.signals_seen, signals_seen)
    match result:
        case Advanced():
            _advanced(change, result)
        case Stayed():
            change.consumed = result.consumed
            for noticed in result.noticed:
                change.journal(EventType.OUTPUT_NOTICED, data=noticed)
            _stayed(change)
        case Waiting():
            change.consumed = result.consumed
            _waits_again(change)
        case Failed():
            change.tasks, change.consumed = result.tasks, result.consumed
            change.context = result.context or change.context
            _failed(change, result)
        case TryAgain():
            _try_again(change, result.error)
        case Compensated():
            change.context, change.tasks = result.context, result.tasks
            change.saga.error = change.saga.next_attempt_at = None
            change.saga.attempts = 0
            change.journal(result.event, data=result.data)
            change.go_on()
        case Cancelled():
            change.context = result.context
            change.saga.error = None
            if result.refused is not None:
                change.journal(EventType.UNDO_REFUSED, data={"reason": result.refused})
            change.cancelled(result.kept)
        case _:
            assert_never(result)
    return change


def _advanced(change: Change, result: Advanced) -> None:
    change.context, change.tasks, change.consumed = result.context, result.tasks, result.consumed
    if change.wants(Wanted.CANCEL):
        # The effect is settled; its chart stays where it was and the undoing begins.
        change.context = change.context.with_step(change.saga.state, status=StepStatus.DONE, error=None)
        if result.event in _EFFECTS:
            change.journal(result.event, data=result.data)
        change.go_on()
        return
    pause_by = _actor(change) if change.wants(Wanted.PAUSE) else None
    change.move(result.trigger, result.event, data=result.data, draft=result.draft)
    if pause_by is not None and change.saga.status is not SagaStatus.COMPLETED:
        change.pause(pause_by)


def _stayed(change: Change) -> None:
    if change.saga.status is SagaStatus.CANCELLING:
        change.go_on()
    elif change.wants(Wanted.PAUSE):
        change.pause(_actor(change))
    else:
        change.wait_on()


def _waits_again(change: Change) -> None:
    if change.saga.status is SagaStatus.CANCELLING:
        change.go_on()
        return
    pause_by = _actor(change) if change.wants(Wanted.PAUSE) else None
    change.wait_again()
    if pause_by is not None:
        change.pause(pause_by)


def _failed(change: Change, result: Failed) -> None:
    if change.saga.status is SagaStatus.CANCELLING:
        # Failing no longer matters to a saga that is being cancelled: go on with the undoing.
        change.go_on()
    else:
        change.fail(result.error)


def _try_again(change: Change, error: RetryableError) -> None:
    pause_by = _actor(change) if change.wants(Wanted.PAUSE) else None
    was_cancelling = change.wants(Wanted.CANCEL) and change.saga.status is SagaStatus.CANCELLING
    change.try_again(error, delay_s=delay(change.saga.attempts, error.retry_after))
    if pause_by is not None and not was_cancelling:
        change.pause(pause_by)


def _actor(change: Change) -> str:
    return str((change.saga.wanted_by or {}).get("actor", "engine"))


def delay(failed_attempts: int, retry_after: float | None) -> float:
    """Seconds until the next attempt: exponential with jitter, at most 5 minutes, never before the other side wishes."""
    ceiling = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failed_attempts, 20))
    jittered = ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
    return max(jittered, retry_after or 0.0)

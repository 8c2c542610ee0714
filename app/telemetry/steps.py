"""Steps and tasks: a span for each attempt, in the trace of the command that it follows from, and the figures about it."""

import time
from collections.abc import Awaitable, Callable
from typing import assert_never

from app.telemetry import Telemetry
from app.telemetry.spans import Kind, Span, within
from sagas import trace
from sagas.engine import Attempting
from sagas.errors import SagaError
from sagas.ids import TaskId
from sagas.models import Saga
from sagas.ports import TaskMessage, TaskPublisher, TaskReport
from sagas.results import Advanced, Cancelled, Compensated, Failed, Stayed, StepResult, TryAgain, Waiting


def observed_steps(telemetry: Telemetry, *, around: Attempting) -> Attempting:
    """Goes around each attempt of a step, with another one within."""

    async def attempting(saga: Saga, attempt: Callable[[], Awaitable[StepResult]]) -> StepResult:
        began = time.perf_counter()
        outcome = "lost"
        with within(_span(telemetry, saga)) as span:
            try:
                result = await around(saga, attempt)
                outcome = _outcome(result)
                _tell(telemetry, span, result)
                return result
            finally:
                span.note({"saga.step.outcome": outcome})
                if telemetry.metrics is not None:
                    telemetry.metrics.steps.labels(saga.definition_name, saga.state, outcome).inc()
                    telemetry.metrics.step_seconds.labels(saga.state).observe(time.perf_counter() - began)

    return attempting


def _span(telemetry: Telemetry, saga: Saga) -> Span:
    """The first attempt is part of the command's trace, whichever process makes it and however late.

    Later ones come without end while something is away: each is a trace of its own, with a link to the command's.
    """
    again = saga.attempts > 0
    return telemetry.tracer.begin(
        f"step {saga.state}",
        parent=None if again else saga.traceparent,
        linked_to=saga.traceparent if again else None,
        attributes={
            "saga.id": str(saga.id),
            "saga.definition": saga.definition_name,
            "saga.state": saga.state,
            "saga.visit": saga.visit,
            "saga.attempt": saga.attempts + 1,
        },
    )


def _tell(telemetry: Telemetry, span: Span, result: StepResult) -> None:
    if not isinstance(result, TryAgain | Failed):
        return
    span.fail(result.error.code)
    if telemetry.metrics is not None:
        retried = "yes" if isinstance(result, TryAgain) else "no"
        telemetry.metrics.step_errors.labels(result.error.code, retried).inc()


def _outcome(result: StepResult) -> str:
    match result:
        case Advanced():
            return "advanced"
        case Stayed() | Waiting():
            return "stayed"
        case TryAgain():
            return "retried"
        case Failed():
            return "failed"
        case Compensated():
            return "undone"
        case Cancelled():
            return "cancelled"
        case _:
            assert_never(result)


class ObservedPublisher:
    """Goes around a TaskPublisher: the span whose trace the message carries on, and a count."""

    def __init__(self, publisher: TaskPublisher, telemetry: Telemetry) -> None:
        self._publisher = publisher
        self._telemetry = telemetry

    async def publish(self, message: TaskMessage) -> None:
        """Publish; raises what the publisher raises."""
        span = self._telemetry.tracer.begin(
            f"publish {message.queue}",
            Kind.PRODUCER,
            parent=trace.current.get(),
            attributes={"messaging.destination.name": message.queue, "messaging.message.id": str(message.id)},
        )
        outcome = "lost"
        with within(span):
            try:
                await self._publisher.publish(message)
                outcome = "ok"
            except SagaError as failure:
                outcome = failure.code
                raise
            finally:
                if self._telemetry.metrics is not None:
                    self._telemetry.metrics.published.labels(message.queue, outcome).inc()

    async def report(self, task: TaskId) -> TaskReport:
        """As the publisher's."""
        return await self._publisher.report(task)

    async def revoke(self, task: TaskId) -> None:
        """As the publisher's."""
        await self._publisher.revoke(task)

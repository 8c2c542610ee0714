"""The parts of a saga as a panel shows them: progress, steps, the form that waits, what went wrong."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

import strawberry
from strawberry.scalars import JSON

from sagas import view
from sagas.texts import Language, retold
from schema.calculation import Calculation
from schema.enums import StepKind, StepStatus

ERROR_CODES = (
    "GITLAB_UNAVAILABLE GITLAB_REJECTED BROKER_UNAVAILABLE INVALID_DOCUMENT CALCULATION_FAILED "
    "CALCULATION_TIMED_OUT BRANCH_DELETED BRANCH_REWRITTEN INPUT_CHANGED OUTPUT_CHANGED OUTPUT_DELETED "
    "MERGE_REQUEST_MERGED MERGE_REQUEST_CLOSED PROJECT_NOT_FOUND GITLAB_CONFLICT DATABASE_UNAVAILABLE INTERNAL_ERROR"
)


@strawberry.type(description="A commit in GitLab.")
class Commit:
    """Something that a step wrote."""

    sha: str = strawberry.field(description="Its full hash.")
    web_url: str | None = strawberry.field(
        description="Its page in GitLab; null where it is not known here.", default=None
    )
    message: str | None = strawberry.field(
        description="Its message, with the trailers that name the saga; null where it is not known here.", default=None
    )

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """From a step's summary."""
        return cls(sha=stored["sha"], web_url=stored.get("webUrl"), message=stored.get("message"))


@strawberry.type(description="What stopped a saga, or makes it try again.")
class SagaError:
    """An error with a code for programs and a message for people."""

    code: str = strawberry.field(description=f"One of {ERROR_CODES}; more may come.")
    message: str = strawberry.field(description="For the engineer who reads it: what happened and what helps.")
    retryable: bool = strawberry.field(description="True: the engine tries again by itself. False: retry or cancel.")
    occurred_at: datetime = strawberry.field(description="When it happened last.")

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None, language: Language) -> Self | None:
        """From the saga's or a step's stored error."""
        if stored is None:
            return None
        return cls(
            code=stored["code"],
            message=retold(stored, language)["message"],
            retryable=stored["retryable"],
            occurred_at=datetime.fromisoformat(stored["occurredAt"]),
        )


@strawberry.type(description="How far a saga has come. Skipped steps count as completed.")
class SagaProgress:
    """For a progress bar."""

    completed_steps: int = strawberry.field(description="Steps that are done or were not needed.")
    total_steps: int = strawberry.field(description="All steps of the saga's chart.")
    fraction: float = strawberry.field(description="0 to 1.")


@strawberry.type(description="One step of a saga: a state of its chart and what happened in it.")
class SagaStep:
    """The latest visit counts."""

    name: str = strawberry.field(description="The state's name.")
    kind: StepKind = strawberry.field(description="What it does.")
    visit: int = strawberry.field(description="How often the saga has entered this state; 0: not yet.")
    calculation: str | None = strawberry.field(
        description="The calculation that it belongs to; null for a step of the whole saga."
    )
    status: StepStatus = strawberry.field(description="How far it has come.")
    attempts: int = strawberry.field(description="Failed attempts of the latest visit.")
    started_at: datetime | None = strawberry.field(description="When the latest visit began; null before the first.")
    finished_at: datetime | None = strawberry.field(description="When it ended; null until then.")
    error: SagaError | None = strawberry.field(description="What went wrong in it, while that matters; else null.")
    commit: Commit | None = strawberry.field(description="The commit that it made; null where it made none.")

    @classmethod
    def of(cls, step: view.StepView, language: Language) -> Self:
        """From the read side's step."""
        return cls(
            name=step.name,
            kind=step.kind,
            visit=step.visit,
            calculation=step.calculation,
            status=step.status,
            attempts=step.attempts,
            started_at=step.started_at,
            finished_at=step.finished_at,
            error=SagaError.from_json(step.error, language),
            commit=None if step.commit is None else Commit.from_json(step.commit),
        )


@strawberry.type(description="The form that a saga waits for.")
class PendingInput:
    """Everything to show the form and to answer it with `advanceSaga`."""

    step: str = strawberry.field(description="The step that waits; `advanceSaga` takes it.")
    calculation: Calculation = strawberry.field(description="The calculation whose input it is, with its JSON Schema.")
    draft: JSON = strawberry.field(description="The hydrated document, for the form to start from.")
    file: str = strawberry.field(description="Its path in the branch.")
    expected_version: int = strawberry.field(description="What `advanceSaga` takes as `expectedVersion`.")

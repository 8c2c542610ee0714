"""The words that rows carry: how a saga stands, what its journal tells, and what becomes of its tasks and signals."""

from enum import StrEnum


class SagaStatus(StrEnum):
    """The coarse state of a saga, for lists and filters; `state` names the chart's node."""

    RUNNING = "RUNNING"
    AWAITING_INPUT = "AWAITING_INPUT"
    AWAITING_RESULT = "AWAITING_RESULT"
    PAUSED = "PAUSED"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"

    @property
    def live(self) -> bool:
        """Whether the saga may still act: it is neither completed nor cancelled."""
        return self not in {SagaStatus.COMPLETED, SagaStatus.CANCELLED}


class EventType(StrEnum):
    """What a journal entry tells; one entry per decision, named by what moved the saga."""

    STARTED = "STARTED"
    ENTERED = "ENTERED"
    ATTEMPT_FAILED = "ATTEMPT_FAILED"
    INPUT_RECEIVED = "INPUT_RECEIVED"
    DRAFT_CHANGED = "DRAFT_CHANGED"
    COMMITTED = "COMMITTED"
    COMMIT_NOT_NEEDED = "COMMIT_NOT_NEEDED"
    BRANCH_CREATED = "BRANCH_CREATED"
    TASK_PUBLISHED = "TASK_PUBLISHED"
    RESULT_ACCEPTED = "RESULT_ACCEPTED"
    OUTPUT_NOTICED = "OUTPUT_NOTICED"
    FAILED = "FAILED"
    RETRIED = "RETRIED"
    RECONCILED = "RECONCILED"
    PAUSE_REQUESTED = "PAUSE_REQUESTED"
    PAUSED = "PAUSED"
    RESUMED = "RESUMED"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    TASK_REVOKED = "TASK_REVOKED"
    UNDONE = "UNDONE"
    UNDO_REFUSED = "UNDO_REFUSED"
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"


class TaskStatus(StrEnum):
    """The life of a task row; QUEUED rows are the outbox."""

    QUEUED = "QUEUED"
    PUBLISHED = "PUBLISHED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    REVOKED = "REVOKED"


class Wanted(StrEnum):
    """What a command asked of a saga whose step was leased; its owner obeys after settling the effect."""

    PAUSE = "PAUSE"
    CANCEL = "CANCEL"


class SignalKind(StrEnum):
    """The outside facts that an inbox row can carry."""

    RESULT = "RESULT"
    """A finding for AWAIT_C_RESULT: {"task", "state", "commit", "outputBlob", "error"}."""
    WEBHOOK = "WEBHOOK"
    """Something was pushed to the saga's branch: a hint to look now."""

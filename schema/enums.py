"""The engine's enums as the API names them.

The classes stay the engine's own: resolvers return them as they are.
Types take them from here, so that they carry their description before a type uses them.
"""

from enum import StrEnum

import strawberry

from sagas.context import StepStatus
from sagas.definition import StepKind
from sagas.errors import RefusalCode
from sagas.models import SagaStatus, TaskStatus
from sagas.undoing import UndoKind
from sagas.view import SagaAction

__all__ = [
    "IssueState",
    "RefusalCode",
    "SagaAction",
    "SagaStatus",
    "StepKind",
    "StepStatus",
    "TaskStatus",
    "UndoKind",
]

strawberry.enum(
    SagaStatus,
    name="SagaStatus",
    description="The coarse state of a saga, for lists and filters; `state` names the node of its chart.",
)
strawberry.enum(
    StepStatus,
    name="StepStatus",
    description="How far a step has come. SKIPPED: there was nothing to do; COMPENSATED: undone by a cancellation.",
)
strawberry.enum(
    TaskStatus,
    name="TaskStatus",
    description="QUEUED: not with the broker yet; PUBLISHED: the broker confirmed it; the others: how it ended.",
)
strawberry.enum(
    StepKind,
    name="StepKind",
    description="What a step does: ACTION calls outside; INPUT, RESULT and TIMER wait; FINAL ends the saga.",
)
strawberry.enum(
    SagaAction,
    name="SagaAction",
    description="What the viewer may do with a saga in its present state.",
)
strawberry.enum(
    UndoKind,
    name="UndoKind",
    description=(
        "TASK: an outstanding task is taken back; COMMIT: a file gets its former content; BRANCH: the branch that the saga "
        "made goes; RESULT: what a worker pushed, which stays; MERGE_REQUEST: what the saga opened, which stays."
    ),
)
strawberry.enum(
    RefusalCode,
    name="UserErrorCode",
    description="Why a mutation did nothing; each is something that the caller can act on.",
)


@strawberry.enum(description="Which issues to list.")
class IssueState(StrEnum):
    """GitLab's filter."""

    OPENED = "opened"
    CLOSED = "closed"
    ALL = "all"

"""The engine's enums as the API names them.

The classes stay the engine's own: resolvers return them as they are.
Types take them from here, so that they carry their description before a type uses them.
"""

from enum import Enum, StrEnum

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition

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


def describe(enum: type[Enum], name: str, description: str, **values: str) -> None:
    """Put an enum into the schema; each of its values must be described."""
    strawberry.enum(enum, name=name, description=description)
    definition: StrawberryEnumDefinition = vars(enum)["__strawberry_definition__"]
    for value in definition.values:
        value.description = values.pop(value.name)
    assert not values, f"{name} has no values {', '.join(values)}"


describe(
    SagaStatus,
    "SagaStatus",
    "The coarse state of a saga, for lists and filters; `state` names the node of its chart.",
    RUNNING="The engine is at work, or tries again later.",
    AWAITING_INPUT="A form waits for its user: see `pendingInput`.",
    AWAITING_RESULT="A worker calculates.",
    PAUSED="Held by a user; nothing goes on but deadlines.",
    FAILED="It needs a person, who retries or cancels: see `error`.",
    CANCELLING="Being cancelled; what it did is being undone.",
    CANCELLED="Ended before its time.",
    COMPLETED="Ended well.",
)
describe(
    StepStatus,
    "StepStatus",
    "How far a step has come.",
    PENDING="Not begun.",
    ACTIVE="Under way.",
    WAITING="Waits for a user, a worker or a time.",
    DONE="Done.",
    SKIPPED="There was nothing to do.",
    FAILED="Failed: see its `error`.",
    COMPENSATED="Undone by a cancellation.",
)
describe(
    TaskStatus,
    "TaskStatus",
    "How far a task of a worker has come.",
    QUEUED="Not with the broker yet.",
    PUBLISHED="The broker confirmed it.",
    SUCCEEDED="Its result was accepted.",
    FAILED="The worker reported a failure: see `error`.",
    TIMED_OUT="No result came before the deadline.",
    REVOKED="Taken back; a late result counts for nothing.",
)
describe(
    StepKind,
    "StepKind",
    "What a step does.",
    ACTION="It calls GitLab or the broker.",
    INPUT="It waits for a user's values.",
    RESULT="It waits for a worker's result.",
    TIMER="It waits for a time.",
    FINAL="It ends the saga.",
)
describe(
    SagaAction,
    "SagaAction",
    "What the viewer may do with a saga in its present state.",
    ADVANCE="`advanceSaga` takes the values of `pendingInput`.",
    RETRY="`retrySaga` lets the failed step begin again.",
    PAUSE="`pauseSaga` holds it.",
    RESUME="`resumeSaga` lets it go on.",
    CANCEL="`cancelSaga` ends it.",
    CREATE_MERGE_REQUEST="`createMergeRequest` of its branch.",
)
describe(
    UndoKind,
    "UndoKind",
    "What a cancellation would undo, or leave.",
    TASK="An outstanding task is taken back.",
    COMMIT="A file gets its former content.",
    BRANCH="The branch that the saga made goes.",
    RESULT="What a worker pushed, which stays.",
    MERGE_REQUEST="What the saga opened, which stays.",
)
describe(
    RefusalCode,
    "UserErrorCode",
    "Why a mutation did nothing; each is something that the caller can act on.",
    INVALID_INPUT="A value is wrong: `field` names it, the message says what would be right.",
    NOT_FOUND="It does not exist, or you may not see it.",
    FORBIDDEN="You can see it, but may not do this.",
    WRONG_STATE="The saga is in a state in which this cannot be done: look again.",
    VERSION_CONFLICT="The saga has moved on since `expectedVersion`: look again.",
    IDEMPOTENCY_CONFLICT="The key was used before for another input.",
    BRANCH_BUSY="Another live saga writes the same files on the branch; the message names it.",
    GITLAB_UNAVAILABLE="GitLab does not answer; nothing was started, try again later.",
    GITLAB_REJECTED="GitLab refused, for a reason that the message tells.",
)


class IssueState(StrEnum):
    """GitLab's filter."""

    OPENED = "opened"
    CLOSED = "closed"
    ALL = "all"


describe(
    IssueState,
    "IssueState",
    "Which issues to list.",
    OPENED="Open ones.",
    CLOSED="Closed ones.",
    ALL="Open and closed ones.",
)

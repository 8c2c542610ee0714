"""Global ids as Relay wants them: opaque to clients, `base64("<Type>:<key>")` inside.

Keys are stable for the life of the thing: UUIDs of our rows, GitLab's numeric project id and iid (paths may change).
"""

from typing import NewType
from uuid import UUID

import strawberry
from strawberry.relay import from_base64, to_base64

from sagas.errors import RefusalCode, RefusedError, refused
from sagas.ids import ProjectId, SagaId, TaskId
from sagas.texts import say

NodeType = NewType("NodeType", str)

SAGA = NodeType("Saga")
SAGA_EVENT = NodeType("SagaEvent")
CALCULATION_TASK = NodeType("CalculationTask")
ISSUE = NodeType("Issue")
MERGE_REQUEST = NodeType("MergeRequest")
USER = NodeType("User")
GEOMETRY = NodeType("Geometry")

NODE_TYPES = (SAGA, SAGA_EVENT, CALCULATION_TASK, ISSUE, MERGE_REQUEST)
"""The types that `node(id:)` answers for."""


def global_id(kind: NodeType, *keys: object) -> strawberry.ID:
    """The opaque id of a thing; several keys are joined by colons."""
    return strawberry.ID(to_base64(kind, ":".join(str(key) for key in keys)))


def split_id(value: str, argument: str) -> tuple[NodeType, str]:
    """The type and key inside an id.

    Raises RefusedError (INVALID_INPUT) that names the argument, for text that is not one of our ids.
    """
    try:
        kind, key = from_base64(value)
    except ValueError:
        raise _malformed(argument, say("an id as this API gives it out")) from None
    return NodeType(kind), key


def saga_id(value: str, argument: str = "id") -> SagaId:
    """The saga's UUID; raises like `split_id`, also for the id of another type."""
    kind, key = split_id(value, argument)
    if kind != SAGA:
        raise _malformed(argument, say("the id of a Saga, not of a {kind}", kind=kind))
    return SagaId(parse_uuid(key, argument))


def task_id(key: str, argument: str = "id") -> TaskId:
    """The task's UUID from the key of its id."""
    return TaskId(parse_uuid(key, argument))


def event_key(key: str, argument: str = "id") -> tuple[SagaId, int]:
    """Saga and version from the key of an event's id."""
    saga, _, version = key.partition(":")
    return SagaId(parse_uuid(saga, argument)), _number(version, argument, longest=9)


def project_key(key: str, argument: str = "id") -> tuple[ProjectId, int]:
    """Project and iid from the key of an issue's or merge request's id."""
    project, _, iid = key.partition(":")
    return ProjectId(_number(project, argument)), _number(iid, argument)


def parse_uuid(text: str, argument: str) -> UUID:
    """A UUID in its usual spelling; raises RefusedError that names the argument."""
    try:
        return UUID(text)
    except ValueError:
        raise _malformed(argument, say("an id as this API gives it out")) from None


def _number(text: str, argument: str, *, longest: int = 18) -> int:
    if text.isascii() and text.isdigit() and len(text) <= longest:
        return int(text)
    raise _malformed(argument, say("an id as this API gives it out"))


def _malformed(argument: str, wanted: str) -> RefusedError:
    return refused(
        RefusalCode.INVALID_INPUT,
        say("Argument `{argument}` must be {wanted}.", argument=argument, wanted=wanted),
        argument,
    )

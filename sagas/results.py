"""What a step reports when it has acted: plain data, from which `decisions` makes the next row and journal entry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

from sagas.context import SagaContext
from sagas.errors import RetryableError, TerminalError
from sagas.models import EventType, TaskStatus
from sagas.ports import Json


@dataclass(frozen=True, slots=True)
class NewDraft:
    """The document that an input step begins with, and the blob of the file that it was read from."""

    document: Json
    blob_id: str | None


@dataclass(frozen=True, slots=True)
class TaskChange:
    """What became of a task row; only what is given changes. `published` and `finished` take the database's time."""

    task_id: UUID
    status: TaskStatus
    published: bool = False
    finished: bool = False
    commit_hash: str | None = None
    input_blobs: Mapping[str, Any] | None = None
    output_blob: str | None = None
    output_commit: str | None = None
    result: Mapping[str, Any] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Advanced:
    """The step is done: `trigger` moves the chart, `event` names in the journal what happened."""

    trigger: str
    context: SagaContext
    event: EventType = EventType.ENTERED
    data: Mapping[str, Any] = field(default_factory=dict)
    draft: NewDraft | None = None
    tasks: tuple[TaskChange, ...] = ()
    consumed: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Stayed:
    """A waiting step found nothing that moves it; what it noticed goes to the journal, one entry each."""

    noticed: tuple[Mapping[str, Any], ...] = ()
    consumed: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """What had stopped a waiting step is in order again: it waits as before, in the same visit."""

    consumed: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The saga's own data stop it: FAILED, until a person retries or cancels."""

    error: TerminalError
    tasks: tuple[TaskChange, ...] = ()
    consumed: tuple[UUID, ...] = ()
    context: SagaContext | None = None
    """What the saga must keep in mind from now on; None: what it knew before."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The outside is away: the same visit again after a back-off."""

    error: RetryableError


@dataclass(frozen=True, slots=True)
class Compensated:
    """One undo was done, or refused with a reason; the saga stays CANCELLING until nothing is left to undo."""

    context: SagaContext
    event: EventType
    data: Mapping[str, Any]
    tasks: tuple[TaskChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Nothing is left to undo; `refused` tells what stopped the undoing, where something did.

    `kept` names the workers' results that stay on the branch: {file, commit}.
    """

    context: SagaContext
    refused: str | None = None
    kept: tuple[Mapping[str, Any], ...] = ()


StepResult: TypeAlias = Advanced | Stayed | Waiting | Failed | TryAgain | Compensated | Cancelled

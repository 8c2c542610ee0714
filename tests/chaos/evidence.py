"""What a run has left behind, as plain data: the recorded history, and what database, repositories, GitLab and queue hold.

Read by SQL, git and HTTP alone. Nothing of the service is imported here or in `checker`, so that a mistake in the engine
cannot hide itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.chaos.history import Record


@dataclass(frozen=True, slots=True)
class SagaRow:
    """A row of `saga`."""

    id: str
    definition: str
    definition_version: int
    state: str
    status: str
    version: int
    project: int
    branch: str
    leased: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class EventRow:
    """A row of `saga_event`."""

    saga: str
    version: int
    type: str
    from_state: str | None
    to_state: str
    status: str
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A row of `calculation_task`."""

    id: str
    saga: str
    state: str
    visit: int
    status: str
    published: bool


@dataclass(frozen=True, slots=True)
class DraftRow:
    """A row of `draft`: the blob of the file that the form showed; None: there was no file."""

    saga: str
    state: str
    visit: int
    blob: str | None


@dataclass(frozen=True, slots=True)
class FileChange:
    """What a commit did to a file; None: no file."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class GitCommit:
    """A commit that a branch of the project reaches."""

    project: int
    sha: str
    changes: tuple[FileChange, ...] = ()
    saga: str = ""
    """Trailer `Saga-Id`."""
    step: str = ""
    """Trailer `Saga-Step`."""
    task: str = ""
    """Trailer `Correlation-Id`."""


@dataclass(frozen=True, slots=True)
class MergeRequestRow:
    """A merge request, whatever its state."""

    project: int
    iid: int
    branch: str
    target: str
    state: str


@dataclass(slots=True)
class Evidence:
    """Everything that the checker looks at."""

    history: list[Record] = field(default_factory=list)
    sagas: list[SagaRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    tasks: list[TaskRow] = field(default_factory=list)
    drafts: list[DraftRow] = field(default_factory=list)
    charts: dict[tuple[str, int], frozenset[tuple[str, str]]] = field(default_factory=dict)
    """By definition and version: from which state to which other the chart leads."""
    commits: list[GitCommit] = field(default_factory=list)
    merge_requests: list[MergeRequestRow] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)
    """The task ids of which a worker left a report in Celery's result backend."""
    projects: dict[str, int] = field(default_factory=dict)
    """Path to id."""
    queued: int = 0
    """Messages that are still in the queue."""
    stuck: list[str] = field(default_factory=list)
    """What `orchestrator sagas stuck` lists."""

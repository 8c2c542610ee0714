"""What the engine asks of the outside: protocols that adapters meet structurally, and the data that crosses them.

Every method may raise `RetryableError` (the other side is away), `UnknownOutcomeError` (a write whose answer was lost)
or `TerminalError` (this request will never succeed); nothing else leaves an adapter on purpose.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Protocol, TypeAlias

from sagas.ids import BlobId, CommitSha, ProjectId, SagaId, TaskId

Json: TypeAlias = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
"""A parsed JSON document."""


class AccessLevel(IntEnum):
    """GitLab's roles; NONE is GitLab's 404: the project does not exist for this user."""

    NONE = 0
    GUEST = 10
    PLANNER = 15
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50


@dataclass(frozen=True, slots=True)
class User:
    """A GitLab user; `id` is GitLab's numeric id and the only identity that is compared."""

    id: int
    username: str
    name: str | None = None
    email: str | None = None
    avatar_url: str | None = None
    read_only: bool = False
    """Whether the credentials that came with the request let their owner only look, whatever his role."""
    external: bool = False
    """GitLab's external users see no internal project that they are not members of; False where GitLab does not tell."""


@dataclass(frozen=True, slots=True)
class Project:
    """A GitLab project; `id` is the key, `path` (with namespace) an alias that may change."""

    id: ProjectId
    path: str
    web_url: str
    repo_url: str
    """The HTTP clone address that workers get, without credentials."""
    default_branch: str | None
    """None before the first commit."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch by name, and the commit it points to now."""

    name: str
    head: CommitSha
    web_url: str
    protected: bool
    can_push: bool
    """Whether the service's own token may push."""
    developers_can_push: bool = True


@dataclass(frozen=True, slots=True)
class File:
    """A file's bytes at a ref, with the ids that tell versions apart."""

    path: str
    content: bytes
    blob_id: BlobId
    commit_id: CommitSha
    """The tip of the ref it was read from."""
    last_commit_id: CommitSha
    """The last commit that touched the file: GitLab's optimistic lock for update and delete."""


class ChangeKind(StrEnum):
    """What a commit does to one file. `CREATE` is refused by GitLab where the file exists, the others where it does not."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file of a commit; `last_commit_id` makes GitLab refuse an update or delete of a file changed since."""

    kind: ChangeKind
    path: str
    content: str | None = None
    last_commit_id: CommitSha | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as GitLab tells it; `trailers` holds the last value of each key."""

    sha: CommitSha
    title: str
    message: str
    web_url: str
    author_name: str
    author_email: str
    committer_email: str
    created_at: datetime
    parent_ids: tuple[CommitSha, ...] = ()
    trailers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Issue:
    """A GitLab issue, addressed by project and `iid`."""

    id: int
    iid: int
    project_id: ProjectId
    project_path: str
    title: str
    description: str | None
    state: str
    labels: tuple[str, ...]
    web_url: str
    assignees: tuple[User, ...]
    created_at: datetime
    updated_at: datetime
    due_date: str | None
    confidential: bool = False
    author_id: int | None = None


@dataclass(frozen=True, slots=True)
class IssuePage:
    """A page of issues, newest first; `has_next` tells whether the walk goes on after the last one."""

    issues: tuple[Issue, ...]
    has_next: bool


@dataclass(frozen=True, slots=True)
class IssueCursor:
    """Where a walk over issues stands: the creation time and id of the last issue seen."""

    created_at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class Geometry:
    """One entry of `geometries_manifest.json`; `key` is its id there, `attributes` the rest of the entry as it stands."""

    key: str
    name: str
    kind: str | None
    file: str | None
    description: str | None
    attributes: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class MergeRequest:
    """A merge request, addressed by project and `iid`; `sha` is the head of its source branch when GitLab last looked."""

    id: int
    iid: int
    project_id: ProjectId
    title: str
    description: str | None
    state: str
    web_url: str
    source_branch: str
    target_branch: str
    sha: CommitSha | None


class Forge(Protocol):
    """GitLab as the sagas need it. Calls act with the service's own token; rights of users are asked for by `Access`.

    "Already exists" is success after reading it back. Writes are never retried inside: the engine owns retrying.
    """

    async def project(self, ref: ProjectId | str) -> Project | None:
        """The project with this id or full path; None where it does not exist (or the service may not see it)."""

    async def branch(self, project: ProjectId, name: str) -> Branch | None:
        """The branch by its exact name, never from a (cached) list."""

    async def issue_branches(self, project: ProjectId, iid: int) -> tuple[Branch, ...]:
        """The branches named `issue/<iid>`, `issue/<iid>-*` or `<iid>-*`, by name."""

    async def create_branch(self, project: ProjectId, name: str, *, ref: str) -> Branch:
        """Make a branch from `ref`; an existing one is read back and returned as it is."""

    async def delete_branch(self, project: ProjectId, name: str) -> None:
        """Remove a branch; a missing one is success."""

    async def get_file_content(self, project: ProjectId, path: str, *, ref: str) -> File | None:
        """The file at a branch, tag or sha; None where it is not there.

        Raises TerminalError("BRANCH_DELETED") where the ref itself is unknown.
        """

    async def blob_ids(self, project: ProjectId, paths: Sequence[str], *, ref: str) -> Mapping[str, BlobId | None]:
        """The blob id of each path at the ref, None for those that are not there; raises like `get_file_content`."""

    async def create_commit(
        self,
        project: ProjectId,
        branch: str,
        changes: Sequence[FileChange],
        *,
        message: str,
        author: User | None = None,
    ) -> Commit:
        """Write all changes as one commit on an existing branch, in the author's name.

        Raises TerminalError("GITLAB_CONFLICT") where a file is there, gone or changed since: look again before judging;
        TerminalError("GITLAB_REJECTED") where GitLab refuses for good, such as on a protected branch.
        """

    async def commits(
        self, project: ProjectId, *, branch: str, since: CommitSha | None, path: str | None
    ) -> tuple[Commit, ...]:
        """The commits of `since..branch` (None: all) that touch `path`, newest first, to the end, with trailers."""

    async def find_own_commit(
        self, project: ProjectId, *, branch: str, since: CommitSha | None, path: str, trailers: Mapping[str, str]
    ) -> Commit | None:
        """The commit of the service's own user with all these trailers in `since..branch`; others' are ignored."""

    async def is_ancestor(self, project: ProjectId, *, ancestor: CommitSha, ref: str) -> bool:
        """Whether the commit is part of the ref's history; False after a force-push dropped it."""

    async def issue(self, project: ProjectId, iid: int) -> Issue | None:
        """One issue by its number in the project."""

    async def issues_numbered(self, project: ProjectId, iids: Sequence[int]) -> Mapping[int, Issue]:
        """Those of the project's issues that have one of these numbers, asked for together."""

    async def issues(
        self,
        *,
        assignee: User,
        project: ProjectId | None = None,
        state: str = "opened",
        labels: Sequence[str] = (),
        search: str | None = None,
        first: int = 20,
        after: IssueCursor | None = None,
    ) -> IssuePage:
        """Issues assigned to the user, newest first by (creation time, id); `state`: opened, closed or all."""

    async def geometries(self, project: ProjectId, *, ref: str) -> tuple[Geometry, ...]:
        """The entries of `geometries_manifest.json` at the ref; none where the file is missing.

        Raises ManifestError, which says where, for a file that cannot be read.
        """

    async def merge_requests(
        self, project: ProjectId, *, source_branch: str, target_branch: str | None = None, state: str = "all"
    ) -> tuple[MergeRequest, ...]:
        """The merge requests of a source branch, newest first; `state`: opened, closed, merged or all."""

    async def merge_request(self, project: ProjectId, iid: int) -> MergeRequest | None:
        """One merge request by its number in the project."""

    async def create_merge_request(
        self, project: ProjectId, *, source_branch: str, target_branch: str, title: str, description: str
    ) -> MergeRequest:
        """Open a merge request; where GitLab says that an open one exists (409), that one is read back and returned."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user may do in a project, by GitLab's own rules.

    `code`: read its repository and merge requests, and so its sagas: Reporter or more, or everybody where the project
    shows both to everybody. `issues`: see its issues that are not confidential.
    """

    level: AccessLevel
    code: bool
    issues: bool


NO_RIGHTS = Rights(AccessLevel.NONE, code=False, issues=False)


class Access(Protocol):
    """Who may do what. Answers are GitLab's, cached for a short time per user."""

    async def level(self, user: User, project: ProjectId) -> AccessLevel:
        """The user's role in the project; GUEST also for whoever may read a public or internal one without a role."""

    async def rights(self, user: User, project: ProjectId) -> Rights:
        """The role, and what of the project the user may read."""

    async def readable(self, user: User, projects: Sequence[ProjectId]) -> frozenset[ProjectId]:
        """Those of the projects whose code, and so whose sagas, the user may read."""


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """A task for a worker; `body()` is the contract, verbatim, and the task's single positional argument."""

    id: TaskId
    name: str
    queue: str
    repo_url: str
    branch: str
    commit_hash: CommitSha
    input_files: tuple[str, ...]
    output_file: str

    def body(self) -> dict[str, Json]:
        """The message of the service description; its names, mixed case and all, are the contract."""
        return {
            "correlationId": str(self.id),
            "repoUrl": self.repo_url,
            "branch": self.branch,
            "commitHash": self.commit_hash,
            "input_files": list(self.input_files),
            "output_file": self.output_file,
        }


class TaskState(StrEnum):
    """What the result backend knows of a task; PENDING also means "never heard of it"."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    REVOKED = "REVOKED"


@dataclass(frozen=True, slots=True)
class TaskReport:
    """A worker's report: commit and output blob where it succeeded (commit None: identical output), text where it failed."""

    state: TaskState
    commit: CommitSha | None = None
    output_blob: BlobId | None = None
    error: str | None = None


class TaskPublisher(Protocol):
    """The task messages' only way out, and the workers' reports back."""

    async def publish(self, message: TaskMessage) -> None:
        """Hand the message to the broker and wait for its confirmation; the same id may be published again.

        Raises RetryableError("BROKER_UNAVAILABLE") where it was not confirmed.
        """

    async def report(self, task: TaskId) -> TaskReport:
        """What the result backend says of the task; raises RetryableError where it cannot be asked."""

    async def revoke(self, task: TaskId) -> None:
        """Ask the workers to drop the task: a hint, whose loss harms nobody."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A saga has reached this version: an announcement that may be lost or doubled."""

    saga_id: SagaId
    version: int


class Announcer(Protocol):
    """Tells all processes that sagas changed, after the commit."""

    def announce(self, hints: Sequence[Hint]) -> None:
        """Queue the hints and return at once; never raises: an announcement is only a hint."""


class Watch(Protocol):
    """One subscription to changes; constant memory, however slow its reader."""

    async def changed(self) -> frozenset[SagaId] | None:
        """Wait for news and return which sagas changed since the last call; None: anything may have (read again)."""


class ChangeFeed(Protocol):
    """The process's hub: listens once, fans out to many."""

    def watch(self, saga_id: SagaId | None = None, *, elsewhere: bool = False) -> AbstractAsyncContextManager[Watch]:
        """Changes of one saga, or of all; whoever reads the database after entering misses nothing.

        `elsewhere`: of all, but only what other processes announce.
        """

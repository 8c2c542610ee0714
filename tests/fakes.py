"""In-memory adapters for every port of `sagas.ports` that the engine calls, for tests that need no outside.

    forge = FakeForge()
    project = forge.add_project("plant/unit-1", {"balance_input.json": "{}"})
    forge.fail_next("create_commit", UnknownOutcomeError("GITLAB_UNAVAILABLE", "cut"), after=True)

`FakeForge` is in `tests/fake_forge.py`; the contract tests hold it and the real facade to one behaviour.
"""

from collections import Counter
from collections.abc import Sequence

from sagas.ids import ProjectId, TaskId
from sagas.ports import (
    Access,
    AccessLevel,
    Announcer,
    Forge,
    Hint,
    Rights,
    TaskMessage,
    TaskPublisher,
    TaskReport,
    TaskState,
    User,
)
from tests.fake_faults import Call, Faulty, recorded
from tests.fake_forge import ENGINEER, SERVICE, WORKER, FakeForge

__all__ = ["ENGINEER", "SERVICE", "WORKER", "Call", "FakeAccess", "FakeAnnouncer", "FakeForge", "FakePublisher"]


class FakePublisher(Faulty):
    """A broker that confirms at once, and a result backend that knows what `finish` told it.

    `published` lists every message handed over, doubles included; `revoked` every task that was revoked.
    """

    def __init__(self) -> None:
        super().__init__()
        self.published: list[TaskMessage] = []
        self.revoked: list[TaskId] = []
        self._reports: dict[TaskId, TaskReport] = {}

    @recorded
    async def publish(self, message: TaskMessage) -> None:
        self.published.append(message)

    @recorded
    async def report(self, task: TaskId) -> TaskReport:
        return self._reports.get(task, TaskReport(TaskState.PENDING))

    @recorded
    async def revoke(self, task: TaskId) -> None:
        self.revoked.append(task)

    def finish(self, task: TaskId, report: TaskReport) -> None:
        """From now on the result backend answers this for the task."""
        self._reports[task] = report

    def times_published(self, task: TaskId) -> int:
        return Counter(message.id for message in self.published)[task]

    def last(self) -> TaskMessage:
        """The newest message; an AssertionError where there is none, so that `eventually` waits for it."""
        assert self.published, "nothing was published"
        return self.published[-1]


class FakeAnnouncer:
    """Keeps every hint in `hints`, in order."""

    def __init__(self) -> None:
        self.hints: list[Hint] = []

    def announce(self, hints: Sequence[Hint]) -> None:
        self.hints.extend(hints)


class FakeAccess:
    """Roles as a test sets them; `default` for everybody else."""

    def __init__(self, default: AccessLevel = AccessLevel.DEVELOPER) -> None:
        self.default = default
        self.asked: list[tuple[int, ProjectId]] = []
        self.open: set[ProjectId] = set()
        """Projects that show their code to everybody."""
        self._levels: dict[tuple[int, ProjectId], AccessLevel] = {}
        self._fault: Exception | None = None

    def set(self, user: User, project: ProjectId, level: AccessLevel) -> None:
        self._levels[user.id, project] = level

    def fail_next(self, error: Exception) -> None:
        self._fault = error

    async def level(self, user: User, project: ProjectId) -> AccessLevel:
        self.asked.append((user.id, project))
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
        return self._levels.get((user.id, project), self.default)

    async def rights(self, user: User, project: ProjectId) -> Rights:
        level = await self.level(user, project)
        if project in self.open:
            level = max(level, AccessLevel.GUEST)
        reads_code = level >= AccessLevel.REPORTER or project in self.open
        return Rights(level, code=reads_code, issues=level > AccessLevel.NONE)

    async def readable(self, user: User, projects: Sequence[ProjectId]) -> frozenset[ProjectId]:
        return frozenset([project for project in projects if (await self.rights(user, project)).code])


def _conforms() -> tuple[Forge, TaskPublisher, Announcer, Access]:
    """Never called: the type checker holds the fakes to the ports here."""
    return FakeForge(), FakePublisher(), FakeAnnouncer(), FakeAccess()

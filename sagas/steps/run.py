"""What a step has at hand: its saga, the ports, and the proof that it may still write."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from sagas.catalogue import Calculation, calculation_of
from sagas.context import SagaContext
from sagas.definition import SagaDefinition, Step
from sagas.faults import crash_point
from sagas.ids import CommitSha, ProjectId
from sagas.models import CalculationTask, Saga
from sagas.ports import Branch, Forge, TaskPublisher, User
from sagas.steps.reconciling import deleted, ended, reconcile
from sagas.store.database import Database

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tools:
    """The outside, as steps and watchers reach it."""

    forge: Forge
    publisher: TaskPublisher
    database: Database


@dataclass(frozen=True, slots=True)
class StepRun:
    """One attempt of one step.

    `guard` renews the lease or raises StaleLease: it runs right before every outside write. It returns the time of the
    event loop's clock until which nobody else can hold the saga.
    """

    saga: Saga
    definition: SagaDefinition
    context: SagaContext
    tools: Tools
    guard: Callable[[], Awaitable[float]]

    @property
    def forge(self) -> Forge:
        """GitLab."""
        return self.tools.forge

    @property
    def project(self) -> ProjectId:
        """The saga's project."""
        return ProjectId(self.saga.project_id)

    @property
    def step(self) -> Step:
        """The step of the saga's state."""
        return self.definition.step(self.saga.state)

    @property
    def calculation(self) -> Calculation:
        """The calculation that the step belongs to, as the saga's own definition has it."""
        if self.step.calculation is None:
            raise AssertionError(f"{self.saga.state} belongs to no calculation")
        return self.calculation_named(self.step.calculation)

    def calculation_named(self, name: str) -> Calculation:
        """A calculation of the saga's own definition."""
        return calculation_of(self.definition, name)

    @property
    def starter(self) -> User:
        """Who started the saga."""
        return user_from_json(self.saga.started_by)

    @property
    def effect(self) -> str:
        """`<state>/<visit>`: the effect key within the saga, and the value of the Saga-Step trailer."""
        return f"{self.saga.state}/{self.saga.visit}"

    def trailers(self, step: str | None = None) -> dict[str, str]:
        """The trailers that make a commit of this effect recognisable."""
        return {"Saga-Id": str(self.saga.id), "Saga-Step": step or self.effect}

    def message(self, subject: str, step: str | None = None) -> str:
        """A commit message with the subject and the effect's trailers."""
        lines = [f"{key}: {value}" for key, value in self.trailers(step).items()]
        return "\n".join([subject, "", *lines, ""])

    @property
    def head(self) -> CommitSha | None:
        """The newest head of the branch that this saga recorded."""
        return None if self.context.head is None else CommitSha(self.context.head)

    async def branch(self) -> Branch:
        """The saga's branch as it is now.

        Raises TerminalError("BRANCH_DELETED") where it is gone.
        """
        branch = await self.forge.branch(self.project, self.saga.branch)
        if branch is None:
            raise deleted(self.saga.branch)
        return branch

    async def verify(self, task: CalculationTask | None = None) -> None:
        """Make sure that nobody else has changed what the saga builds upon, or ended the branch's merge request.

        Raises like `reconcile`, and EndedByHandError. The merge requests are asked for where the saga knows of open ones.
        """
        known = self.context.merge_requests
        # Asked for before the branch: GitLab closes the merge requests of one that is removed, and that is told first.
        found = await self.forge.merge_requests(self.project, source_branch=self.saga.branch) if known else ()
        await reconcile(self.forge, self.saga, self.definition, self.context, task)
        error = ended(known, found)
        if error is not None:
            raise error

    async def write(self, name: str, action: Callable[[], Awaitable[T]]) -> T:
        """Do one outside write: lease proven right before, crash points on both sides."""
        proven_until = await self.guard()
        crash_point(f"{name}.before")
        if asyncio.get_running_loop().time() >= proven_until:
            # The process slept since the proof, and somebody else may have gone on: not everything is fenced by GitLab.
            await self.guard()
        done = await action()
        crash_point(f"{name}.after")
        return done


def user_to_json(user: User) -> dict[str, str | int | None]:
    """A user as rows keep it."""
    return {
        "id": user.id,
        "username": user.username,
        "name": user.name,
        "email": user.email,
        "avatarUrl": user.avatar_url,
    }


def user_from_json(stored: dict[str, object]) -> User:
    """A user as rows keep it, read back."""
    identity = stored["id"]
    if not isinstance(identity, int):
        raise TypeError(f"a stored user's id is {identity!r}")
    return User(
        id=identity,
        username=str(stored["username"]),
        name=_text(stored.get("name")),
        email=_text(stored.get("email")),
        avatar_url=_text(stored.get("avatarUrl")),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)

"""The two GitLabs of the contract: the fake and the real facade, with the same levers for what others do to a project."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from sagas.ids import CommitSha
from sagas.ports import Forge, Issue, Project, User
from tests.fake_forge import ENGINEER, SERVICE, FakeForge

INPUT = '{\n  "flow": 12.5\n}\n'
BRANCH = "issue/7-condenser"
"""Of the fixture `head`, made from main."""


class World(Protocol):
    """A forge under test and the people around it; the levers answer when what they do can be seen."""

    @property
    def forge(self) -> Forge:
        """What is tested; acts as the service."""

    @property
    def service(self) -> User:
        """The service's own user, with its address for commits."""

    @property
    def engineer(self) -> User:
        """The person who uses the levers."""

    def add_project(self, files: Mapping[str, str] | None = None) -> Project:
        """A new project; its default branch `main`, protected, holds the files."""

    def write(
        self, project: Project, branch: str, path: str, text: str | None, *, message: str = "Change by hand"
    ) -> CommitSha:
        """The engineer commits one file; None deletes it."""

    def force_push(self, project: Project, branch: str, to: CommitSha) -> None:
        """The engineer rewrites the branch's history."""

    def remove_branch(self, project: Project, branch: str) -> None:
        """The engineer deletes the branch."""

    def restore_branch(self, project: Project, branch: str, head: CommitSha) -> None:
        """The engineer makes a removed branch anew."""

    def add_issue(self, project: Project, title: str, *, labels: Sequence[str] = (), assigned: bool = True) -> Issue:
        """An issue, the engineer's or nobody's."""

    def close_issue(self, issue: Issue) -> None:
        """The issue is done."""

    def close_merge_request(self, project: Project, iid: int) -> None:
        """Somebody closes it."""

    def merge(self, project: Project, iid: int) -> None:
        """Somebody merges it; its branch stays."""


class FakeWorld:
    """The in-memory forge."""

    def __init__(self) -> None:
        self.forge = FakeForge()
        self.service, self.engineer = SERVICE, ENGINEER
        self._projects = 0

    def add_project(self, files: Mapping[str, str] | None = None) -> Project:
        self._projects += 1
        return self.forge.add_project(f"plant/unit-{self._projects}", files)

    def write(
        self, project: Project, branch: str, path: str, text: str | None, *, message: str = "Change by hand"
    ) -> CommitSha:
        return self.forge.write(project, branch, path, text, message=message).sha

    def force_push(self, project: Project, branch: str, to: CommitSha) -> None:
        self.forge.force_push(project, branch, to)

    def remove_branch(self, project: Project, branch: str) -> None:
        self.forge.remove_branch(project, branch)

    def restore_branch(self, project: Project, branch: str, head: CommitSha) -> None:
        self.forge.add_branch(project, branch, ref=head)

    def add_issue(self, project: Project, title: str, *, labels: Sequence[str] = (), assigned: bool = True) -> Issue:
        return self.forge.add_issue(project, title, labels=labels, assignees=[self.engineer] if assigned else [])

    def close_issue(self, issue: Issue) -> None:
        self.forge.close_issue(issue)

    def close_merge_request(self, project: Project, iid: int) -> None:
        self.forge.set_merge_request_state(project, iid, "closed")

    def merge(self, project: Project, iid: int) -> None:
        self.forge.set_merge_request_state(project, iid, "merged")

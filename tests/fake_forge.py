"""An in-memory GitLab that keeps the promises of the Forge port, with faults on demand."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from gitlab_facade.geometries import MANIFEST, parse_geometries
from sagas.errors import TerminalError
from sagas.ids import BlobId, CommitSha, ProjectId
from sagas.ports import (
    Branch,
    ChangeKind,
    Commit,
    File,
    FileChange,
    Geometry,
    Issue,
    IssueCursor,
    IssuePage,
    MergeRequest,
    Project,
    User,
)
from tests.fake_faults import Faulty, recorded
from tests.fake_repository import FakeRepository, blob_id, email_of, with_trailers

SERVICE = User(1, "orchestrator", "Orchestrator", "orchestrator@example.test")
ENGINEER = User(2, "ada", "Ada Lovelace", "ada@example.test")
WORKER = User(3, "worker", "Calculation worker", "worker@example.test")


class FakeForge(Faulty):
    """The Forge port over repositories in memory.

    The helpers without `await` are for tests: they act as somebody else than the service and are not listed in `calls`.
    """

    def __init__(self, *, service: User = SERVICE) -> None:
        super().__init__()
        self.service = service
        self._projects: dict[ProjectId, Project] = {}
        self._repositories: dict[ProjectId, FakeRepository] = {}
        self._issues: list[Issue] = []
        self._merge_requests: list[MergeRequest] = []

    # -- what tests arrange and look at ---------------------------------------------------------------------------

    def add_project(self, path: str, files: Mapping[str, str] | None = None, default_branch: str = "main") -> Project:
        """A project whose default branch holds the files; None of them: an empty repository."""
        url = f"http://gitlab.example.test/{path}"
        number = ProjectId(len(self._projects) + 1)
        project = Project(number, path, url, f"{url}.git", default_branch if files is not None else None)
        self._projects[number] = project
        self._repositories[number] = repository = FakeRepository(url)
        if files is not None:
            tree = {name: text.encode() for name, text in files.items()}
            repository.commit(default_branch, tree, "Initial commit", author=ENGINEER, committer=ENGINEER)
            repository.protected.add(default_branch)
        return project

    def move_project(self, project: Project, path: str) -> None:
        """Give the project another path, which leaves its old one free."""
        self._projects[project.id] = replace(self._projects[project.id], path=path)

    def remove_project(self, project: Project | ProjectId) -> None:
        del self._projects[_id(project)], self._repositories[_id(project)]

    def add_branch(self, project: Project | ProjectId, name: str, *, ref: str | None = None) -> CommitSha:
        """A branch made by somebody else; from the default branch where `ref` does not say."""
        start = self._head(_id(project), ref or self._projects[_id(project)].default_branch or "main")
        self._repository(project).branches[name] = start
        return start

    def write(
        self,
        project: Project | ProjectId,
        branch: str,
        path: str,
        text: str | None,
        *,
        author: User = ENGINEER,
        trailers: Mapping[str, str] | None = None,
        message: str | None = None,
    ) -> Commit:
        """A commit pushed by somebody else (worker or engineer); text None deletes the file."""
        repository = self._repository(project)
        tree = dict(repository.tree(repository.branches[branch]))
        if text is None:
            del tree[path]
        else:
            tree[path] = text.encode()
        message = with_trailers(message or f"Change {path}", trailers or {})
        return repository.commit(branch, tree, message, author=author, committer=author)

    def read(self, project: Project | ProjectId, branch: str, path: str) -> str | None:
        """The file's text at the branch; None where file or branch is missing."""
        repository = self._repository(project)
        head = repository.branches.get(branch)
        content = repository.tree(head).get(path) if head else None
        return None if content is None else content.decode()

    def commit_log(self, project: Project | ProjectId, branch: str) -> tuple[Commit, ...]:
        """All commits of the branch, newest first."""
        repository = self._repository(project)
        return repository.log(repository.branches[branch])

    def branch_names(self, project: Project | ProjectId) -> tuple[str, ...]:
        return tuple(sorted(self._repository(project).branches))

    def head_of(self, project: Project | ProjectId, branch: str) -> CommitSha:
        return self._repository(project).branches[branch]

    def remove_branch(self, project: Project | ProjectId, branch: str) -> None:
        del self._repository(project).branches[branch]

    def force_push(self, project: Project | ProjectId, branch: str, to_sha: CommitSha) -> None:
        self._repository(project).branches[branch] = to_sha

    def protect(self, project: Project | ProjectId, branch: str) -> None:
        """From now on the service may not push to the branch."""
        self._repository(project).protected.add(branch)

    def add_issue(
        self,
        project: Project,
        title: str,
        *,
        assignees: Sequence[User] = (),
        labels: Sequence[str] = (),
        state: str = "opened",
        created_at: datetime | None = None,
        description: str | None = None,
        confidential: bool = False,
        author: User | None = None,
    ) -> Issue:
        iid = 1 + sum(issue.project_id == project.id for issue in self._issues)
        created = created_at or datetime.now(UTC)
        created = created.replace(microsecond=created.microsecond // 1000 * 1000)
        url = f"{project.web_url}/-/issues/{iid}"
        number = 1000 + len(self._issues)
        people = tuple(replace(user, email=None) for user in assignees)
        issue = Issue(
            number, iid, project.id, project.path, title, description, state,
            tuple(sorted(labels)), url, people, created, created, None, confidential, None if author is None else author.id,
        )  # fmt: skip
        self._issues.append(issue)
        return issue

    def close_issue(self, issue: Issue) -> None:
        self._issues = [replace(kept, state="closed") if kept.id == issue.id else kept for kept in self._issues]

    def set_merge_request_state(self, project: Project | ProjectId, iid: int, state: str) -> None:
        """As if somebody merged, closed or reopened it."""
        self._merge_requests = [
            replace(mr, state=state) if (mr.project_id, mr.iid) == (_id(project), iid) else mr
            for mr in self._merge_requests
        ]

    # -- the port -------------------------------------------------------------------------------------------------

    @recorded
    async def project(self, ref: ProjectId | str) -> Project | None:
        return next((project for project in self._projects.values() if ref in {project.id, project.path}), None)

    @recorded
    async def branch(self, project: ProjectId, name: str) -> Branch | None:
        return self._branch(project, name)

    @recorded
    async def issue_branches(self, project: ProjectId, iid: int) -> tuple[Branch, ...]:
        pattern = re.compile(rf"issue/{iid}(-.*)?|{iid}-.*", re.DOTALL)
        names = [name for name in sorted(self._repository(project).branches) if pattern.fullmatch(name)]
        return tuple(branch for name in names if (branch := self._branch(project, name)))

    @recorded
    async def create_branch(self, project: ProjectId, name: str, *, ref: str) -> Branch:
        repository = self._repository(project)
        if name not in repository.branches:
            start = repository.resolve(ref)
            if start is None:
                raise _rejected(f"Failed to create branch '{name}': invalid reference name '{ref}'")
            repository.branches[name] = start
        branch = self._branch(project, name)
        assert branch is not None
        return branch

    @recorded
    async def delete_branch(self, project: ProjectId, name: str) -> None:
        repository = self._repository(project)
        if name == self._projects[project].default_branch:
            raise _rejected("The default branch of a project cannot be deleted.")
        repository.branches.pop(name, None)

    @recorded
    async def get_file_content(self, project: ProjectId, path: str, *, ref: str) -> File | None:
        return self._file(project, path, ref)

    @recorded
    async def blob_ids(self, project: ProjectId, paths: Sequence[str], *, ref: str) -> Mapping[str, BlobId | None]:
        tree = self._repository(project).tree(self._head(project, ref))
        return {path: blob_id(tree[path]) if path in tree else None for path in paths}

    @recorded
    async def create_commit(
        self,
        project: ProjectId,
        branch: str,
        changes: Sequence[FileChange],
        *,
        message: str,
        author: User | None = None,
    ) -> Commit:
        repository = self._repository(project)
        if branch not in repository.branches:
            raise TerminalError("BRANCH_DELETED", "You can only create or edit files when you are on a branch")
        if branch in repository.protected:
            raise _rejected("403 Forbidden - You are not allowed to push into this branch")
        head = repository.branches[branch]
        tree = dict(repository.tree(head))
        for change in changes:
            self._check_lock(repository, head, change)
            _apply(tree, change)
        return repository.commit(branch, tree, message, author=author or self.service, committer=self.service)

    @recorded
    async def commits(
        self, project: ProjectId, *, branch: str, since: CommitSha | None, path: str | None
    ) -> tuple[Commit, ...]:
        return self._repository(project).log(self._head(project, branch), since=since, path=path)

    @recorded
    async def find_own_commit(
        self, project: ProjectId, *, branch: str, since: CommitSha | None, path: str, trailers: Mapping[str, str]
    ) -> Commit | None:
        log = self._repository(project).log(self._head(project, branch), since=since, path=path)
        own = (commit for commit in log if commit.committer_email == email_of(self.service))
        return next((commit for commit in own if trailers.items() <= commit.trailers.items()), None)

    @recorded
    async def is_ancestor(self, project: ProjectId, *, ancestor: CommitSha, ref: str) -> bool:
        return self._repository(project).is_ancestor(ancestor, self._head(project, ref))

    @recorded
    async def issue(self, project: ProjectId, iid: int) -> Issue | None:
        self._repository(project)
        return next((issue for issue in self._issues if (issue.project_id, issue.iid) == (project, iid)), None)

    @recorded
    async def issues_numbered(self, project: ProjectId, iids: Sequence[int]) -> Mapping[int, Issue]:
        self._repository(project)
        return {issue.iid: issue for issue in self._issues if issue.project_id == project and issue.iid in iids}

    @recorded
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
        found = [
            issue
            for issue in sorted(self._issues, key=_issue_order, reverse=True)
            if any(user.id == assignee.id for user in issue.assignees)
            and project in {None, issue.project_id}
            and state in {"all", issue.state}
            and set(labels) <= set(issue.labels)
            and (search or "").lower() in f"{issue.title}\n{issue.description}".lower()
            and (after is None or _issue_order(issue) < (after.created_at, after.id))
        ]
        return IssuePage(tuple(found[:first]), has_next=len(found) > first)

    @recorded
    async def geometries(self, project: ProjectId, *, ref: str) -> tuple[Geometry, ...]:
        manifest = self._file(project, MANIFEST, ref)
        return () if manifest is None else parse_geometries(manifest.content)

    @recorded
    async def merge_requests(
        self, project: ProjectId, *, source_branch: str, target_branch: str | None = None, state: str = "all"
    ) -> tuple[MergeRequest, ...]:
        self._repository(project)
        return tuple(
            self._with_head(mr)
            for mr in reversed(self._merge_requests)
            if (mr.project_id, mr.source_branch) == (project, source_branch)
            and target_branch in {None, mr.target_branch}
            and state in {"all", mr.state}
        )

    @recorded
    async def merge_request(self, project: ProjectId, iid: int) -> MergeRequest | None:
        self._repository(project)
        found = (mr for mr in self._merge_requests if (mr.project_id, mr.iid) == (project, iid))
        return next((self._with_head(mr) for mr in found), None)

    @recorded
    async def create_merge_request(
        self, project: ProjectId, *, source_branch: str, target_branch: str, title: str, description: str
    ) -> MergeRequest:
        head = self._head(project, source_branch)
        if source_branch == target_branch:
            raise _rejected("You can't use same project/branch for source and target")
        wanted = (project, source_branch, target_branch, "opened")
        for mr in self._merge_requests:
            if (mr.project_id, mr.source_branch, mr.target_branch, mr.state) == wanted:
                return self._with_head(mr)
        iid = 1 + sum(mr.project_id == project for mr in self._merge_requests)
        url = f"{self._projects[project].web_url}/-/merge_requests/{iid}"
        number = 5000 + len(self._merge_requests)
        opened = MergeRequest(
            number, iid, project, title, description, "opened", url, source_branch, target_branch, head
        )  # fmt: skip
        self._merge_requests.append(opened)
        return opened

    # -- inside ---------------------------------------------------------------------------------------------------

    def _repository(self, project: Project | ProjectId) -> FakeRepository:
        try:
            return self._repositories[_id(project)]
        except KeyError:
            raise TerminalError("PROJECT_NOT_FOUND", "404 Project Not Found") from None

    def _head(self, project: ProjectId, ref: str) -> CommitSha:
        sha = self._repository(project).resolve(ref)
        if sha is None:
            raise TerminalError("BRANCH_DELETED", f"There is no branch or commit {ref!r} in the project.")
        return sha

    def _branch(self, project: ProjectId, name: str) -> Branch | None:
        repository = self._repository(project)
        if name not in repository.branches:
            return None
        protected = name in repository.protected
        url = f"{repository.web_url}/-/tree/{name}"
        return Branch(
            name, repository.branches[name], url, protected,
            can_push=not protected, developers_can_push=not protected,
        )  # fmt: skip

    def _file(self, project: ProjectId, path: str, ref: str) -> File | None:
        repository = self._repository(project)
        head = self._head(project, ref)
        content = repository.tree(head).get(path)
        if content is None:
            return None
        touched = repository.last_touched(head, path)
        assert touched is not None
        return File(path, content, blob_id(content), head, touched)

    def _check_lock(self, repository: FakeRepository, head: CommitSha, change: FileChange) -> None:
        if change.kind is ChangeKind.CREATE or change.last_commit_id is None:
            return
        seen = repository.last_touched(change.last_commit_id, change.path)
        if seen != repository.last_touched(head, change.path):
            raise _conflict(f"The file has changed since you started editing it: {change.path}")

    def _with_head(self, mr: MergeRequest) -> MergeRequest:
        head = self._repository(mr.project_id).branches.get(mr.source_branch)
        return replace(mr, sha=head) if head and mr.state == "opened" else mr


def _apply(tree: dict[str, bytes], change: FileChange) -> None:
    there = change.path in tree
    if change.kind is ChangeKind.CREATE and there:
        raise _conflict("A file with this name already exists")
    if change.kind is not ChangeKind.CREATE and not there:
        raise _conflict("A file with this name doesn't exist")
    if change.kind is ChangeKind.DELETE:
        del tree[change.path]
    else:
        tree[change.path] = (change.content or "").encode()


def _issue_order(issue: Issue) -> tuple[datetime, int]:
    return issue.created_at, issue.id


def _id(project: Project | ProjectId) -> ProjectId:
    return project.id if isinstance(project, Project) else project


def _rejected(message: str) -> TerminalError:
    return TerminalError("GITLAB_REJECTED", message)


def _conflict(message: str) -> TerminalError:
    return TerminalError("GITLAB_CONFLICT", message)

"""The Forge port over GitLab's REST API: what the sagas need of a project, its branches, files, issues, merge requests.

Calls are synchronous python-gitlab inside a thread of the pool. No write is repeated here: after an
UnknownOutcomeError, or where GitLab says GITLAB_CONFLICT, the engine looks (`find_own_commit`, `branch`,
`merge_requests`) before it tries again. `gitlab_facade.errors` lists every error that leaves this module.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from posixpath import dirname
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from gitlab.exceptions import GitlabError
from gitlab.v4.objects import Project as RemoteProject

from gitlab_facade import adopt, answers
from gitlab_facade.client import Client, Timeouts, Watch
from gitlab_facade.errors import BRANCH_DELETED, is_missing, text_of
from gitlab_facade.geometries import MANIFEST, parse_geometries
from gitlab_facade.instance import GitLabInstance
from gitlab_facade.issues import PER_PAGE, by_number, in_query, numbered, walk
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
from sagas.texts import say


class GitLabFacade(GitLabInstance):
    """GitLab as the sagas see it."""

    def __init__(
        self, url: str, token: str, *, timeout: Timeouts = (3.05, 30), concurrency: int = 8, watch: Watch | None = None
    ) -> None:
        """`timeout`: seconds to connect and between two bytes; `concurrency`: calls at the same moment; `watch` sees each."""
        super().__init__(url, token, timeout=timeout, concurrency=concurrency, watch=watch)
        self._committers: frozenset[str] = frozenset()
        self._committers_lock = Lock()

    async def project(self, ref: ProjectId | str) -> Project | None:
        """The project with this id or full path; a text without a slash is never a path."""
        if isinstance(ref, str) and "/" not in ref.strip("/"):
            return None
        return await self._pool.run(lambda client: _project(client, ref))

    async def branch(self, project: ProjectId, name: str) -> Branch | None:
        """The branch by its exact name, with its head of this moment."""
        return await self._pool.run(lambda client: _branch(_at(client, project), name))

    async def issue_branches(self, project: ProjectId, iid: int) -> tuple[Branch, ...]:
        """The branches named for the issue; names come from GitLab's list, which may lag 30 s, heads do not."""
        return await self._pool.run(lambda client: _issue_branches(_at(client, project), iid))

    async def create_branch(self, project: ProjectId, name: str, *, ref: str) -> Branch:
        """Make a branch from `ref`; where GitLab refuses and the branch is there, that one is the answer."""
        return await self._pool.run(lambda client: _create_branch(_at(client, project), name, ref))

    async def delete_branch(self, project: ProjectId, name: str) -> None:
        """Remove a branch; a missing one is success."""
        await self._pool.run(lambda client: _delete_branch(_at(client, project), name))

    async def get_file_content(self, project: ProjectId, path: str, *, ref: str) -> File | None:
        """The file at a branch, tag or sha; None where it is not there; BRANCH_DELETED where the ref is unknown."""
        return await self._pool.run(lambda client: _file(_at(client, project), path, ref))

    async def blob_ids(self, project: ProjectId, paths: Sequence[str], *, ref: str) -> Mapping[str, BlobId | None]:
        """The blob id of each path, from one listing per folder; a sha as `ref` makes them all of one moment."""
        return await self._pool.run(lambda client: _blob_ids(_at(client, project), paths, ref))

    async def create_commit(
        self,
        project: ProjectId,
        branch: str,
        changes: Sequence[FileChange],
        *,
        message: str,
        author: User | None = None,
    ) -> Commit:
        """Write all changes as one commit; `message` already ends with its trailers.

        Raises TerminalError("GITLAB_CONFLICT") where a file is there, gone or changed since; see `gitlab_facade.errors`.
        """
        document: dict[str, object] = {
            "branch": branch,
            "commit_message": message,
            "actions": [_action(change) for change in changes],
            "stats": False,
        }
        if author is not None:
            document |= {"author_name": author.name or author.username, "author_email": self._address_of(author)}
        return await self._pool.run(
            lambda client: answers.commit(_at(client, project).commits.create(document).attributes)
        )

    async def commits(
        self, project: ProjectId, *, branch: str, since: CommitSha | None, path: str | None
    ) -> tuple[Commit, ...]:
        """The commits of `since..branch`, newest first, to the end; all of the branch's where `since` is unknown."""
        return await self._pool.run(lambda client: tuple(_history(_at(client, project), branch, since, path)))

    async def find_own_commit(
        self, project: ProjectId, *, branch: str, since: CommitSha | None, path: str, trailers: Mapping[str, str]
    ) -> Commit | None:
        """The commit of the service's own user with all these trailers; others' are ignored."""

        def find(client: Client) -> Commit | None:
            committers = self._own_addresses(client)
            history = _history(_at(client, project), branch, since, path)
            return adopt.own_commit(history, committers=committers, trailers=trailers)

        return await self._pool.run(find)

    async def is_ancestor(self, project: ProjectId, *, ancestor: CommitSha, ref: str) -> bool:
        """Whether the commit is part of the ref's history."""
        return await self._pool.run(lambda client: _is_ancestor(_at(client, project), ancestor, ref))

    async def issue(self, project: ProjectId, iid: int) -> Issue | None:
        """One issue by its number in the project."""
        return await self._pool.run(lambda client: by_number(_at(client, project), iid))

    async def issues_numbered(self, project: ProjectId, iids: Sequence[int]) -> Mapping[int, Issue]:
        """Those of the project's issues that have one of these numbers, a hundred to a request."""
        return await self._pool.run(lambda client: numbered(_at(client, project), iids))

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
        """Issues assigned to the user, of one project or of all that the service sees, newest first."""
        query: dict[str, Any] = {"scope": "all", "assignee_id": assignee.id, "state": state}
        query |= {"labels": list(labels)} if labels else {}
        query |= {"search": search} if search else {}
        return await self._pool.run(
            lambda client: walk(
                lambda bound, page: _issues(client, project, query, bound, page), first=first, after=after
            )
        )

    async def geometries(self, project: ProjectId, *, ref: str) -> tuple[Geometry, ...]:
        """The entries of `geometries_manifest.json` at the ref; none where the file is missing."""
        manifest = await self.get_file_content(project, MANIFEST, ref=ref)
        return () if manifest is None else parse_geometries(manifest.content)

    async def merge_requests(
        self, project: ProjectId, *, source_branch: str, target_branch: str | None = None, state: str = "all"
    ) -> tuple[MergeRequest, ...]:
        """The merge requests of a branch of this project (not of a fork's), newest first."""
        return await self._pool.run(
            lambda client: _merge_requests(_at(client, project), source_branch, target_branch, state)
        )

    async def merge_request(self, project: ProjectId, iid: int) -> MergeRequest | None:
        """One merge request by its number in the project."""
        return await self._pool.run(lambda client: _merge_request(_at(client, project), iid))

    async def create_merge_request(
        self, project: ProjectId, *, source_branch: str, target_branch: str, title: str, description: str
    ) -> MergeRequest:
        """Open a merge request; where an open one of these branches exists, that one is the answer."""
        document = {
            "source_branch": source_branch,
            "target_branch": target_branch,
            "title": title,
            "description": description,
        }
        return await self._pool.run(lambda client: _create_merge_request(_at(client, project), document))

    def _own_addresses(self, client: Client) -> frozenset[str]:
        with self._committers_lock:
            if not self._committers:
                me = answers.require_object(client.http_get("/user"))
                self._committers = frozenset(filter(None, (me.get("commit_email"), me.get("email"))))
            return self._committers

    def _address_of(self, author: User) -> str:
        """The author's address; without one, the private one by which GitLab itself knows its users."""
        return author.email or f"{author.id}-{author.username}@users.noreply.{urlsplit(self.url).hostname}"


def _can_be_asked_for(name: str) -> bool:
    """Whether the name survives in an URL: a segment of nothing but dots is folded away and asks for something else."""
    return name.strip(".") != ""


def _at(client: Client, project: ProjectId) -> RemoteProject:
    return client.projects.get(project, lazy=True)


def _project(client: Client, ref: ProjectId | str) -> Project | None:
    try:
        return answers.project(client.projects.get(ref).attributes)
    except GitlabError as error:
        if is_missing(error, "Project"):
            return None
        raise


def _branch(remote: RemoteProject, name: str) -> Branch | None:
    if not _can_be_asked_for(name):
        return None
    try:
        return answers.branch(remote.branches.get(name).attributes)
    except GitlabError as error:
        invalid_name = error.response_code == HTTPStatus.BAD_REQUEST and "refname is invalid" in text_of(error)
        if invalid_name or is_missing(error, "Branch"):
            return None
        raise


def _issue_branches(remote: RemoteProject, iid: int) -> tuple[Branch, ...]:
    names = {f"issue/{iid}"}
    for prefix in (f"^issue/{iid}-", f"^{iid}-"):
        names |= {branch.name for branch in remote.branches.list(search=prefix, iterator=True)}
    read = (_branch(remote, name) for name in sorted(names))
    return adopt.of_issue((branch for branch in read if branch is not None), iid)


def _create_branch(remote: RemoteProject, name: str, ref: str) -> Branch:
    try:
        return answers.branch(remote.branches.create({"branch": name, "ref": ref}).attributes)
    except GitlabError as error:
        if error.response_code != HTTPStatus.BAD_REQUEST:
            raise
        there = _branch(remote, name)
        if there is None:
            raise
        return there


def _delete_branch(remote: RemoteProject, name: str) -> None:
    if not _can_be_asked_for(name):
        return
    try:
        remote.branches.delete(name)
    except GitlabError as error:
        if not is_missing(error, "Branch"):
            raise


def _file(remote: RemoteProject, path: str, ref: str) -> File | None:
    if not _can_be_asked_for(path):
        return None
    try:
        return answers.file(remote.files.get(path, ref=ref).attributes)
    except GitlabError as error:
        if is_missing(error, "File"):
            return None
        raise


def _blob_ids(remote: RemoteProject, paths: Sequence[str], ref: str) -> Mapping[str, BlobId | None]:
    known: dict[str, BlobId] = {}
    for folder in sorted({dirname(path) for path in paths}):
        known |= _folder(remote, folder, ref)
    return {path: known.get(path) for path in paths}


def _folder(remote: RemoteProject, folder: str, ref: str) -> Mapping[str, BlobId]:
    try:
        entries = [dict(entry) for entry in remote.repository_tree(path=folder, ref=ref, iterator=True)]
    except GitlabError as error:
        # GitLab answers alike for an unknown ref and an unknown folder; only the first is an error.
        if error.response_code != HTTPStatus.NOT_FOUND or is_missing(error, "Project") or not folder:
            raise
        entries = []
    if not entries:
        _require_ref(remote, ref)
    return {str(entry["path"]): BlobId(str(entry["id"])) for entry in entries if entry["type"] == "blob"}


def _action(change: FileChange) -> dict[str, str]:
    action = {"action": change.kind.value, "file_path": change.path}
    if change.kind is not ChangeKind.DELETE:
        action["content"] = change.content or ""
    if change.kind is not ChangeKind.CREATE and change.last_commit_id is not None:
        action["last_commit_id"] = change.last_commit_id
    return action


def _history(remote: RemoteProject, branch: str, since: CommitSha | None, path: str | None) -> Iterator[Commit]:
    query: dict[str, object] = {"ref_name": f"{since}..{branch}" if since else branch, "trailers": True}
    query |= {"path": path, "follow": False} if path else {}
    seen: set[str] = set()
    for listed in remote.commits.list(iterator=True, query_parameters=query):
        commit = answers.commit(listed.attributes)
        # Pages of a branch that grows meanwhile overlap.
        if commit.sha not in seen:
            seen.add(commit.sha)
            yield commit
    if not seen:
        # GitLab answers an empty list where it does not know an end of the range: that is not "no commits".
        _require_ref(remote, branch)
        if since is not None and not _knows(remote, since):
            yield from _history(remote, branch, None, path)


def _knows(remote: RemoteProject, ref: str) -> bool:
    if not _can_be_asked_for(ref):
        return False
    try:
        remote.commits.get(ref, stats=False)
    except GitlabError as error:
        if is_missing(error, "Commit", "Repository"):
            return False
        raise
    return True


def _require_ref(remote: RemoteProject, ref: str) -> None:
    if not _knows(remote, ref):
        raise TerminalError(BRANCH_DELETED, say("There is no branch or commit {ref!r} in the project.", ref=ref))


def _is_ancestor(remote: RemoteProject, ancestor: CommitSha, ref: str) -> bool:
    try:
        base = answers.require_object(remote.repository_merge_base([ancestor, ref]))
    except GitlabError as error:
        if error.response_code not in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND} or is_missing(error, "Project"):
            raise
        _require_ref(remote, ref)
        return False
    return bool(base["id"] == ancestor)


def _issues(
    client: Client, project: ProjectId | None, query: Mapping[str, Any], bound: datetime | None, page: int
) -> Sequence[Issue]:
    manager = client.issues if project is None else _at(client, project).issues
    window: dict[str, Any] = {"created_before": in_query(bound)} if bound else {}
    order: dict[str, Any] = {"order_by": "created_at", "sort": "desc", "per_page": PER_PAGE, "page": page}
    return [answers.issue(listed.attributes) for listed in manager.list(**query, **window, **order)]


def _merge_requests(remote: RemoteProject, source: str, target: str | None, state: str) -> tuple[MergeRequest, ...]:
    query = {"source_branch": source, "state": state, "order_by": "created_at", "sort": "desc"}
    query |= {"target_branch": target} if target else {}
    listed = (mr.attributes for mr in remote.mergerequests.list(iterator=True, **query))
    return tuple(
        answers.merge_request(mr) for mr in listed if mr.get("source_project_id") in {None, mr.get("project_id")}
    )


def _merge_request(remote: RemoteProject, iid: int) -> MergeRequest | None:
    try:
        return answers.merge_request(remote.mergerequests.get(iid).attributes)
    except GitlabError as error:
        if is_missing(error) or is_missing(error, "Merge Request"):
            return None
        raise


def _create_merge_request(remote: RemoteProject, document: Mapping[str, str]) -> MergeRequest:
    source, target = document["source_branch"], document["target_branch"]
    if _branch(remote, source) is None:
        # Without this, GitLab accepts the merge request and shows it broken.
        raise TerminalError(BRANCH_DELETED, say("There is no branch {source!r} in the project.", source=source))
    try:
        return answers.merge_request(remote.mergerequests.create(dict(document)).attributes)
    except GitlabError as error:
        if error.response_code != HTTPStatus.CONFLICT:
            raise
        there = next(iter(_merge_requests(remote, source, target, "opened")), None) or _named_in(remote, error)
        if there is None:
            raise
        return there


def _named_in(remote: RemoteProject, error: GitlabError) -> MergeRequest | None:
    number = re.search(r"!(\d+)", text_of(error))
    return _merge_request(remote, int(number[1])) if number else None

"""A git repository in memory, as far as the facade's port shows one: commits with whole trees, branches, blob ids."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha1

from gitlab_facade.trailers import parse_trailers
from sagas.ids import BlobId, CommitSha
from sagas.ports import Commit, User

Tree = Mapping[str, bytes]


def blob_id(content: bytes) -> BlobId:
    """The id that git gives to these bytes."""
    return BlobId(sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest())


def email_of(user: User) -> str:
    return user.email or f"{user.username}@example.test"


def with_trailers(message: str, trailers: Mapping[str, str]) -> str:
    if not trailers:
        return message
    return message + "\n\n" + "\n".join(f"{key}: {value}" for key, value in trailers.items())


@dataclass
class FakeRepository:
    web_url: str
    branches: dict[str, CommitSha] = field(default_factory=dict)
    protected: set[str] = field(default_factory=set)
    _commits: dict[CommitSha, Commit] = field(default_factory=dict)
    _trees: dict[CommitSha, Tree] = field(default_factory=dict)

    def resolve(self, ref: str) -> CommitSha | None:
        if ref in self.branches:
            return self.branches[ref]
        return CommitSha(ref) if ref in self._commits else None

    def tree(self, sha: CommitSha) -> Tree:
        return self._trees[sha]

    def commit_of(self, sha: CommitSha) -> Commit:
        return self._commits[sha]

    def commit(self, branch: str, tree: Tree, message: str, *, author: User, committer: User) -> Commit:
        """Put a commit with this whole tree on the branch, which begins here where there is none."""
        parents = (self.branches[branch],) if branch in self.branches else ()
        identity = (
            f"{len(self._commits)} {branch} {parents} {message} {sorted((p, blob_id(c)) for p, c in tree.items())}"
        )
        sha = CommitSha(sha1(identity.encode(), usedforsecurity=False).hexdigest())
        commit = Commit(
            sha=sha,
            title=message.splitlines()[0] if message else "",
            message=message,
            web_url=f"{self.web_url}/-/commit/{sha}",
            author_name=author.name or author.username,
            author_email=email_of(author),
            committer_email=email_of(committer),
            created_at=datetime.now(UTC),
            parent_ids=parents,
            trailers=parse_trailers(message),
        )
        self._commits[sha], self._trees[sha] = commit, dict(tree)
        self.branches[branch] = sha
        return commit

    def history(self, sha: CommitSha | None) -> Iterator[Commit]:
        """The commit and its ancestors, newest first; this repository has no merges."""
        while sha is not None:
            commit = self._commits[sha]
            yield commit
            sha = commit.parent_ids[0] if commit.parent_ids else None

    def log(self, head: CommitSha, *, since: CommitSha | None = None, path: str | None = None) -> tuple[Commit, ...]:
        known = {commit.sha for commit in self.history(since)} if since in self._commits else set()
        return tuple(
            replace(commit)
            for commit in self.history(head)
            if commit.sha not in known and (path is None or self._touches(commit, path))
        )

    def last_touched(self, head: CommitSha, path: str) -> CommitSha | None:
        return next((commit.sha for commit in self.history(head) if self._touches(commit, path)), None)

    def is_ancestor(self, ancestor: CommitSha, head: CommitSha) -> bool:
        return any(commit.sha == ancestor for commit in self.history(head))

    def _touches(self, commit: Commit, path: str) -> bool:
        before = self._trees[commit.parent_ids[0]].get(path) if commit.parent_ids else None
        return self._trees[commit.sha].get(path) != before

"""Questions about history: lists of commits, the last one that touched a path, ancestors, trailers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from gitlab_emulator.git.objects import Commit
from gitlab_emulator.git.process import run_git
from gitlab_emulator.git.repository import HEADS, Repository

_STEPS_BEFORE_GIT = 16
_SEPARATOR = "\x01"


@dataclass(frozen=True)
class CommitQuery:
    """What a list of commits is asked for; `revisions` are checked names or ids, never options."""

    revisions: tuple[str, ...]
    path: str = ""
    since: str = ""
    until: str = ""
    author: str = ""
    first_parent: bool = False
    topological: bool = False
    follow: bool = False
    skip: int = 0
    limit: int = -1


@dataclass(frozen=True)
class Trailers:
    """The trailers of a message: every value by key, in order."""

    values: dict[str, list[str]] = field(default_factory=dict)

    @property
    def last(self) -> dict[str, str]:
        """The last value of each key."""
        return {key: values[-1] for key, values in self.values.items()}


def list_commits(repository: Repository, query: CommitQuery) -> list[Commit]:
    """The commits of a query, newest first."""
    options = [f"--skip={query.skip}", f"--max-count={query.limit}"]
    options += [f"--since={query.since}"] if query.since else []
    options += [f"--until={query.until}"] if query.until else []
    options += ["--regexp-ignore-case", "--fixed-strings", f"--author={query.author}"] if query.author else []
    options += ["--first-parent"] if query.first_parent else []
    options += ["--topo-order"] if query.topological else []
    options += ["--follow"] if query.follow and query.path else []
    paths = (query.path,) if query.path else ()
    out = repository.git("--literal-pathspecs", "log", "--format=%H", *options, *query.revisions, "--", *paths)
    return [repository.commit(line) for line in out.decode().split()]


@lru_cache(8192)
def last_commit_touching(repository: Repository, commit_id: str, path: str) -> str | None:
    """The newest commit, from `commit_id` back, that changed what stands at `path`; None when none did.

    The last few commits are compared through the kept `cat-file`; only a change further back, or beyond a merge,
    costs a git process.
    """
    current = commit_id
    for _ in range(_STEPS_BEFORE_GIT):
        commit = repository.commit(current)
        if len(commit.parents) > 1:
            break
        here = repository.entry(current, path)
        before = repository.entry(commit.parents[0], path) if commit.parents else None
        if here != before:
            return current
        if not commit.parents:
            return None
        current = commit.parents[0]
    found = repository.git("--literal-pathspecs", "rev-list", "-1", current, "--", path).decode().strip()
    return found or None


@lru_cache(8192)
def is_ancestor(repository: Repository, ancestor: str, descendant: str) -> bool:
    """Whether `descendant` contains `ancestor`; both are full ids."""
    return ancestor == descendant or repository.succeeds("merge-base", "--is-ancestor", ancestor, descendant)


def merge_base(repository: Repository, *commits: str) -> str | None:
    """The best common ancestor of full ids, None when they share no history."""
    done = run_git(repository.path, "merge-base", "--octopus" if len(commits) > 2 else "--all", *commits, check=False)
    lines = done.output.decode().split()
    return lines[0] if lines else None


def is_valid_branch_name(name: str) -> bool:
    """Git's own opinion on a branch name."""
    if not name or name.startswith("-") or "\0" in name:
        return False
    return run_git(None, "check-ref-format", HEADS + name, check=False).code == 0


def trailers_of(repository: Repository, commit_ids: Sequence[str]) -> dict[str, Trailers]:
    """The trailers of several commits as git reads them, in one process."""
    if not commit_ids:
        return {}
    out = repository.git(
        "log",
        "--no-walk=unsorted",
        "--stdin",
        "-z",
        "--format=%H%x01%(trailers:only=true,unfold=true,separator=%x01)",
        stdin="\n".join(commit_ids).encode(),
    )
    found: dict[str, Trailers] = {}
    for record in out.decode("utf-8", "replace").split("\0"):
        commit_id, *lines = record.split(_SEPARATOR)
        values: dict[str, list[str]] = {}
        for line in lines:
            key, colon, value = line.partition(":")
            if colon:
                values.setdefault(key.strip(), []).append(value.strip())
        if commit_id:
            found[commit_id] = Trailers(values)
    return found

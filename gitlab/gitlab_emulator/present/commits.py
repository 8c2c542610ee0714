"""Commits, branches and diffs."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from gitlab_emulator.git.diffs import FileDiff, commit_diff
from gitlab_emulator.git.history import Trailers, is_ancestor, trailers_of
from gitlab_emulator.git.objects import Commit
from gitlab_emulator.git.repository import Repository
from gitlab_emulator.present import Json
from gitlab_emulator.store.records import ProtectedBranch, Role

_NO_TRAILERS = Trailers()


def commit_time(at: datetime) -> str:
    """A commit's time with the offset it was made at."""
    return at.isoformat(timespec="milliseconds")


def commit_json(commit: Commit, web_url: str, trailers: Trailers = _NO_TRAILERS) -> Json:
    """A commit in a list; `web_url` is the project's."""
    return {
        "id": commit.id,
        "short_id": commit.id[:8],
        "created_at": commit_time(commit.committer.at),
        "parent_ids": list(commit.parents),
        "title": commit.title,
        "message": commit.message,
        "author_name": commit.author.name,
        "author_email": commit.author.email,
        "authored_date": commit_time(commit.author.at),
        "committer_name": commit.committer.name,
        "committer_email": commit.committer.email,
        "committed_date": commit_time(commit.committer.at),
        "trailers": trailers.last,
        "extended_trailers": trailers.values,
        "web_url": f"{web_url}/-/commit/{commit.id}",
    }


def commits_json(
    repository: Repository, commits: Sequence[Commit], web_url: str, *, trailers: bool = False, stats: bool = False
) -> list[Json]:
    """Several commits, with their trailers and line counts where wanted."""
    found = trailers_of(repository, [commit.id for commit in commits]) if trailers else {}
    shown = [commit_json(commit, web_url, found.get(commit.id, _NO_TRAILERS)) for commit in commits]
    if stats:
        shown = [one | {"stats": stats_json(repository, commit)} for one, commit in zip(shown, commits, strict=True)]
    return shown


def commit_detail(
    repository: Repository, commit: Commit, web_url: str, *, project_id: int, status: str | None, stats: bool
) -> Json:
    """One commit with all that its own address shows."""
    detail = commits_json(repository, [commit], web_url, trailers=True, stats=stats)[0]
    return detail | {"status": status, "project_id": project_id, "last_pipeline": None}


def stats_json(repository: Repository, commit: Commit) -> Json:
    """Lines added and removed against the first parent."""
    changes = commit_diff(repository, commit)
    added = sum(change.added_lines for change in changes)
    removed = sum(change.removed_lines for change in changes)
    return {"additions": added, "deletions": removed, "total": added + removed}


def diff_json(change: FileDiff) -> Json:
    """One file's change."""
    return {
        "diff": change.diff,
        "collapsed": False,
        "too_large": False,
        "new_path": change.new_path,
        "old_path": change.old_path,
        "a_mode": change.old_mode,
        "b_mode": change.new_mode,
        "new_file": change.status == "A",
        "renamed_file": change.status == "R",
        "deleted_file": change.status == "D",
        "generated_file": False,
    }


def branch_json(
    repository: Repository,
    name: str,
    commit_id: str,
    web_url: str,
    *,
    protection: ProtectedBranch | None,
    role: int,
    default: str,
) -> Json:
    """A branch with its head, as a caller of this role sees it."""
    base = repository.head(default)
    needed = protection.push_level or 100 if protection else Role.DEVELOPER
    return {
        "name": name,
        "commit": commit_json(repository.commit(commit_id), web_url),
        "merged": name != default and base is not None and is_ancestor(repository, commit_id, base),
        "protected": protection is not None,
        "developers_can_push": protection is not None and 0 < protection.push_level <= Role.DEVELOPER,
        "developers_can_merge": protection is not None and 0 < protection.merge_level <= Role.DEVELOPER,
        "can_push": role >= needed,
        "default": name == default,
        "web_url": f"{web_url}/-/tree/{quote(name)}",
    }

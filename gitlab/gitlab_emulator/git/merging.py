"""Merges without a work tree: merge requests, reverts and cherry-picks."""

from datetime import UTC, datetime
from functools import lru_cache

from gitlab_emulator.git.objects import Commit, Person, RawObject, encode_commit
from gitlab_emulator.git.process import GitFailedError, run_git
from gitlab_emulator.git.repository import Repository

_NOBODY = Person("merge", "merge@localhost", datetime.fromtimestamp(0, UTC))


class MergeConflictError(Exception):
    """The two sides change the same lines; no tree came of it."""


@lru_cache(1024)
def merged_tree(repository: Repository, ours: str, theirs: str) -> str | None:
    """The tree of merging two commits, None on a conflict or without common history."""
    arguments = ("merge-tree", "--write-tree", "--allow-unrelated-histories", ours, theirs)
    done = run_git(repository.path, *arguments, check=False)
    if done.code == 0:
        return done.output.decode().split("\n", 1)[0].strip()
    if done.code == 1:
        return None
    raise GitFailedError(arguments, done)


def three_way(repository: Repository, *, base: str, ours: str, theirs: str) -> str:
    """The tree of a three-way merge with a base tree of our choice; raises MergeConflictError.

    `git merge-tree` finds its base itself (an explicit one came with git 2.40), so two throw-away commits are
    given a common parent that has the wanted tree.
    """
    root = _commit(base)
    sides = [_commit(tree, root.id) for tree in (ours, theirs)]
    repository.write([root, *{side.id: side for side in sides}.values()])
    tree = merged_tree(repository, sides[0].id, sides[1].id)
    if tree is None:
        raise MergeConflictError
    return tree


def apply_commit(repository: Repository, commit: Commit, onto: str, *, reverse: bool) -> str:
    """The tree of cherry-picking (or, reversed, undoing) a commit on a head; a merge counts against its first parent.

    Raises MergeConflictError.
    """
    before = repository.commit(commit.parents[0]).tree if commit.parents else _empty_tree(repository)
    ours = repository.commit(onto).tree
    if reverse:
        return three_way(repository, base=commit.tree, ours=ours, theirs=before)
    return three_way(repository, base=before, ours=ours, theirs=commit.tree)


def _commit(tree: str, *parents: str) -> RawObject:
    return encode_commit(tree=tree, parents=parents, author=_NOBODY, committer=_NOBODY, message="base of a merge")


def _empty_tree(repository: Repository) -> str:
    empty = RawObject("tree", b"")
    repository.write([empty])
    return empty.id

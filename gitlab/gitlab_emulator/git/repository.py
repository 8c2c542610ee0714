"""One bare repository: reading objects and refs, writing objects, moving refs with an expected old value."""

import re
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gitlab_emulator.git.cat_file import CatFilePool, ObjectInfo
from gitlab_emulator.git.objects import (
    NULL_ID,
    TREE_MODE,
    Commit,
    RawObject,
    TreeEntry,
    pack,
    parse_commit,
    parse_tree,
)
from gitlab_emulator.git.process import run_git

HEADS = "refs/heads/"
TAGS = "refs/tags/"
_FULL_ID = re.compile(r"^[0-9a-f]{40}$")
_CACHED_OBJECTS = 4096
_LOCK_LIVES_S = 10


@dataclass(frozen=True)
class RefChange:
    """A ref going from one object to another; forty zeros stand for "is not there"."""

    old: str
    new: str
    ref: str

    @property
    def branch(self) -> str | None:
        """The branch's name, None for another kind of ref."""
        return self.ref.removeprefix(HEADS) if self.ref.startswith(HEADS) else None


class RefMovedError(Exception):
    """The ref was not where the caller expected it, or git could not lock it; nothing changed."""


class Repository:
    """A bare repository on disk. Safe for threads: objects are immutable and cached, refs are read from git."""

    def __init__(self, path: Path, pool: CatFilePool) -> None:
        self.path = path
        self.writing = threading.RLock()
        """Held by API writes from reading a head to moving it; pushes are fenced by git's own old values."""
        self._pool = pool
        self._commit = lru_cache(_CACHED_OBJECTS)(self._load_commit)
        self._tree = lru_cache(_CACHED_OBJECTS)(self._load_tree)

    def git(self, *arguments: str, stdin: bytes = b"", check: bool = True) -> bytes:
        """Output of one git command here; raises GitFailedError."""
        return run_git(self.path, *arguments, stdin=stdin, check=check).output

    def succeeds(self, *arguments: str) -> bool:
        """Whether a git command ends with 0."""
        return run_git(self.path, *arguments, check=False).code == 0

    def info(self, name: str) -> ObjectInfo | None:
        """Id, kind and size of whatever git resolves `name` to."""
        with self._pool.borrow(self.path) as process:
            return process.info(name)

    def blob(self, object_id: str) -> bytes | None:
        """A blob's bytes, None when there is no such blob."""
        with self._pool.borrow(self.path) as process:
            found = process.contents(object_id)
        return found[1].data if found and found[0].kind == "blob" else None

    def commit(self, object_id: str) -> Commit:
        """A commit by its full id; raises KeyError."""
        return self._commit(object_id)

    def tree(self, object_id: str) -> tuple[TreeEntry, ...]:
        """A tree's entries by its full id; raises KeyError."""
        return self._tree(object_id)

    def entry(self, commit_id: str, path: str) -> TreeEntry | None:
        """What stands at a path of a commit, None when nothing does; the empty path is the root tree."""
        found = TreeEntry(TREE_MODE, "", self.commit(commit_id).tree)
        for name in (part for part in path.split("/") if part):
            if found.mode != TREE_MODE:
                return None
            following = next((entry for entry in self.tree(found.id) if entry.name == name), None)
            if following is None:
                return None
            found = following
        return found

    def resolve(self, ref: str) -> str | None:
        """The commit a caller means: a branch, then a tag, then an id or another expression of git's."""
        if not ref or ref.startswith("-") or ":" in ref or any(character.isspace() for character in ref):
            return None
        names = (ref,) if _FULL_ID.match(ref) else (HEADS + ref, TAGS + ref, ref)
        with self._pool.borrow(self.path) as process:
            for name in names:
                found = process.info(name + "^{commit}")
                if found is not None and found.kind == "commit":
                    return found.id
        return None

    def head(self, branch: str) -> str | None:
        """The commit a branch points to, None when there is no such branch."""
        found = self.info(HEADS + branch) if branch and not set(branch) & set(" :^~") else None
        return found.id if found and found.kind == "commit" else None

    def branches(self) -> list[tuple[str, str]]:
        """All branches with their heads, by name."""
        lines = self.git("for-each-ref", "--format=%(objectname) %(refname)", HEADS).decode().splitlines()
        pairs = (line.partition(" ") for line in lines)
        return sorted((name.removeprefix(HEADS), object_id) for object_id, _, name in pairs)

    def is_empty(self) -> bool:
        """Whether there is no branch yet."""
        return self.info("HEAD") is None and not self.branches()

    def default_branch(self) -> str:
        """The branch HEAD names, whether it exists or not."""
        return (self.path / "HEAD").read_text().strip().removeprefix("ref: ").removeprefix(HEADS)

    def set_default_branch(self, branch: str) -> None:
        """Point HEAD to another branch."""
        self.git("symbolic-ref", "HEAD", HEADS + branch)

    def write(self, objects: Sequence[RawObject]) -> None:
        """Store objects; nothing points to them yet."""
        if objects:
            self.git("unpack-objects", "-q", stdin=pack(objects))

    def move(self, change: RefChange) -> None:
        """Move, create or delete a ref if it still is where `change.old` says; raises RefMovedError."""
        if change.new == NULL_ID:
            done = run_git(self.path, "update-ref", "-d", change.ref, change.old, check=False)
        else:
            done = run_git(self.path, "update-ref", change.ref, change.new, change.old, check=False)
        if done.code != 0 and self.remove_stale_locks():
            self.move(change)
        elif done.code != 0:
            raise RefMovedError(done.complaint)

    def remove_stale_locks(self) -> bool:
        """Remove locks that a killed git left behind; True when there was one.

        A living git holds a lock for milliseconds.
        """
        old = time.time() - _LOCK_LIVES_S
        stale = [
            lock
            for place in (self.path / "refs", self.path)
            for lock in (place.rglob("*.lock") if place.name == "refs" else place.glob("*.lock"))
            if lock.stat().st_mtime < old
        ]
        for lock in stale:
            lock.unlink(missing_ok=True)
        return bool(stale)

    def _load_commit(self, object_id: str) -> Commit:
        with self._pool.borrow(self.path) as process:
            found = process.contents(object_id)
        if found is None or found[0].kind != "commit":
            raise KeyError(object_id)
        return parse_commit(found[0].id, found[1].data)

    def _load_tree(self, object_id: str) -> tuple[TreeEntry, ...]:
        with self._pool.borrow(self.path) as process:
            found = process.contents(object_id)
        if found is None or found[0].kind != "tree":
            raise KeyError(object_id)
        return parse_tree(found[1].data)


class RepositoryStore:
    """The repositories of all projects, one directory each, named by project id: a renamed project moves nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._pool = CatFilePool()
        self._lock = threading.Lock()
        self._open: dict[int, Repository] = {}
        root.mkdir(parents=True, exist_ok=True)
        self._template = root / "template.git"
        if not (self._template / "HEAD").exists():
            run_git(None, "init", "--quiet", "--bare", "--initial-branch=main", "--template=", str(self._template))

    def create(self, project_id: int, default_branch: str) -> Repository:
        """A new empty repository; what a creation that was cut off left behind is replaced."""
        path = self._path(project_id)
        if path.exists():
            self.remove(project_id)
        half = path.with_suffix(".new")
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(self._template, half)
        (half / "HEAD").write_text(f"ref: {HEADS}{default_branch}\n")
        half.rename(path)
        return self.open(project_id)

    def open(self, project_id: int) -> Repository:
        """The repository of a project."""
        with self._lock:
            known = self._open.get(project_id)
            if known is None:
                known = self._open[project_id] = Repository(self._path(project_id), self._pool)
            return known

    def remove(self, project_id: int) -> None:
        """Delete a repository for good."""
        with self._lock:
            self._open.pop(project_id, None)
        self._pool.forget(self._path(project_id))
        shutil.rmtree(self._path(project_id), ignore_errors=True)

    def close(self) -> None:
        """End the git processes that are kept."""
        self._pool.close()

    def _path(self, project_id: int) -> Path:
        return self._root / f"{project_id}.git"

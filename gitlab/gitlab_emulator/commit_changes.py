"""One atomic commit made through the API: GitLab's checks in GitLab's order and words, then the ref moves or nothing did."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gitlab_emulator.call import ProjectAccess, Services
from gitlab_emulator.errors import refused
from gitlab_emulator.events import Happening
from gitlab_emulator.git.history import is_ancestor, is_valid_branch_name, last_commit_touching
from gitlab_emulator.git.objects import (
    EXECUTABLE_MODE,
    FILE_MODE,
    NULL_ID,
    Commit,
    Person,
    RawObject,
    encode_commit,
)
from gitlab_emulator.git.repository import HEADS, RefChange, RefMovedError, Repository
from gitlab_emulator.git.tree_edit import TreeEdit
from gitlab_emulator.push import NO_FORCE_PUSH, after_push, must_not_force, refusal
from gitlab_emulator.store.records import User

FILE_EXISTS = "A file with this name already exists"
FILE_MISSING = "A file with this name doesn't exist"
DIRECTORY_EXISTS = "A directory with this name already exists"
_NOT_ON_A_BRANCH = "You can only create or edit files when you are on a branch"
_SHA = re.compile(r"^[0-9a-f]{7,40}$")


@dataclass(frozen=True)
class Action:
    """One change of a commit, its shape already checked."""

    kind: str
    path: str
    previous_path: str = ""
    content: bytes | None = None
    last_commit_id: str | None = None
    executable: bool | None = None


@dataclass(frozen=True)
class ChangeRequest:
    """What shall be committed where."""

    branch: str
    message: str
    actions: Sequence[Action]
    start_branch: str | None = None
    start_sha: str | None = None
    author_name: str | None = None
    author_email: str | None = None
    force: bool = False


def commit_changes(
    services: Services, access: ProjectAccess, user: User, base_url: str, request: ChangeRequest
) -> Commit:
    """Make the commit; whether the caller may push to the branch at all was checked before.

    Raises ApiError 400 with GitLab's text; then nothing has changed.
    """
    repository = access.repository
    with repository.writing:
        head = repository.head(request.branch)
        start = _start(repository, request, head)
        _check_unchanged(repository, request.actions, start)
        objects = [*_tree_objects(repository, request.actions, start)]
        commit = _commit_object(user, request, objects[-1].id, start)
        change = RefChange(head or NULL_ID, commit.id, HEADS + request.branch)
        _guard(services, access, change, start)
        repository.write([*objects, commit])
        move_or_refuse(repository, change)
    after_push(services, Happening(access.project, user, base_url), repository, [change])
    return repository.commit(commit.id)


def move_or_refuse(repository: Repository, change: RefChange) -> None:
    """Move a ref, or answer as GitLab does when it was not where it had been read."""
    try:
        repository.move(change)
    except RefMovedError:
        raise refused(f"Could not update {change.ref}. Please refresh and try again.") from None


def signed_by(user: User, name: str | None = None, email: str | None = None) -> Person:
    """A user as author or committer, now."""
    return Person(name or user.name, email or user.email, datetime.now(UTC))


def _start(repository: Repository, request: ChangeRequest, head: str | None) -> str | None:
    """The commit to build on, None in an empty repository."""
    if repository.is_empty():
        _check_new_name(request.branch)
        return None
    if request.start_branch and request.start_sha:
        raise refused("You can't pass both start_branch and start_sha")
    different = bool(request.start_sha) or (request.start_branch or request.branch) != request.branch
    start = (
        _start_commit(repository, request.start_sha)
        if request.start_sha
        else repository.head(request.start_branch or request.branch)
    )
    if start is None:
        raise refused(_NOT_ON_A_BRANCH)
    if different and head is not None and not request.force:
        raise refused(
            f"A branch called '{request.branch}' already exists. Switch to that branch in order to make changes"
        )
    if different and head is None:
        _check_new_name(request.branch)
    return start


def _start_commit(repository: Repository, sha: str) -> str:
    if not _SHA.match(sha):
        raise refused(f"Invalid start_sha '{sha}'")
    start = repository.resolve(sha)
    if start is None:
        raise refused(f"Cannot find start_sha '{sha}'")
    return start


def _check_new_name(branch: str) -> None:
    if not is_valid_branch_name(branch):
        raise refused(f"Something went wrong when we tried to create '{branch}' for you: Branch name is invalid")


def _check_unchanged(repository: Repository, actions: Sequence[Action], start: str | None) -> None:
    """`last_commit_id` guards a file: any commit counts after which the file did not change.

    As on GitLab the check passes where either side has no history of the path.
    """
    for action in actions:
        given = repository.resolve(action.last_commit_id) if action.last_commit_id else None
        if action.kind == "create" or start is None or given is None:
            continue
        path = action.previous_path or action.path
        now = last_commit_touching(repository, start, path)
        then = last_commit_touching(repository, given, path)
        if now is not None and then is not None and now != then:
            raise refused(f"The file has changed since you started editing it: {path}")


def _tree_objects(repository: Repository, actions: Sequence[Action], start: str | None) -> list[RawObject]:
    """The new blobs and trees, the root tree last."""
    tree = TreeEdit(repository, repository.commit(start).tree if start else None)
    blobs: list[RawObject] = []
    for action in actions:
        _apply(tree, action, blobs)
    return [*blobs, *tree.objects()]


def _apply(tree: TreeEdit, action: Action, blobs: list[RawObject]) -> None:
    path = checked_path(action.path)
    blob = RawObject("blob", action.content) if action.content is not None else None
    if action.kind == "create":
        _check_free(tree, path)
        blob = blob or RawObject("blob", b"")
        tree.put(path, EXECUTABLE_MODE if action.executable else FILE_MODE, blob.id)
    elif action.kind == "move":
        previous = checked_path(action.previous_path)
        moved = tree.get(previous)
        if moved is None:
            raise refused(FILE_MISSING)
        _check_free(tree, path)
        tree.remove(previous)
        tree.put(path, moved.mode, blob.id if blob else moved.id)
    else:
        known = tree.get(path)
        if known is None:
            raise refused(FILE_MISSING)
        if action.kind == "delete":
            tree.remove(path)
            return
        mode = known.mode
        if action.executable is not None:
            mode = EXECUTABLE_MODE if action.executable else FILE_MODE
        tree.put(path, mode, blob.id if blob else known.id)
    if blob is not None:
        blobs.append(blob)


def checked_path(path: str) -> str:
    """A path as git may store it; raises GitLab's refusals."""
    if not path.strip("/"):
        raise refused("You must provide a file path")
    parts = path.lstrip("/").split("/")
    if ".." in parts:
        raise refused("Path cannot include directory traversal")
    if any(part in ("", ".") or part.lower() == ".git" for part in parts) or "\0" in path:
        raise refused(f"invalid path: '{path}'")
    return "/".join(parts)


def _check_free(tree: TreeEdit, path: str) -> None:
    if tree.is_directory(path):
        raise refused(DIRECTORY_EXISTS)
    if tree.get(path) is not None or tree.file_above(path):
        raise refused(FILE_EXISTS)


def _commit_object(user: User, request: ChangeRequest, tree: str, start: str | None) -> RawObject:
    return encode_commit(
        tree=tree,
        parents=[start] if start else [],
        author=signed_by(user, request.author_name, request.author_email),
        committer=signed_by(user),
        message=request.message,
    )


def _guard(services: Services, access: ProjectAccess, change: RefChange, start: str | None) -> None:
    with services.database.reading() as connection:
        text = refusal(connection, access, change, web=True)
        forced_only = must_not_force(connection, access, change)
    if text:
        raise refused(text)
    if forced_only and start is not None and not is_ancestor(access.repository, change.old, start):
        raise refused(NO_FORCE_PUSH)

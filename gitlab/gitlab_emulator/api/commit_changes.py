"""`POST /projects/:id/repository/commits`, revert and cherry-pick."""

import base64
import binascii
from collections.abc import Mapping

from gitlab_emulator.api.commits import detail_json, existing_commit
from gitlab_emulator.call import Call, ProjectAccess
from gitlab_emulator.commit_changes import Action, ChangeRequest, commit_changes, move_or_refuse, signed_by
from gitlab_emulator.errors import ApiError, bad_request, forbidden, not_found, with_error
from gitlab_emulator.events import Happening
from gitlab_emulator.git.merging import MergeConflictError, apply_commit
from gitlab_emulator.git.objects import Commit, encode_commit
from gitlab_emulator.git.repository import HEADS, RefChange
from gitlab_emulator.push import after_push, may_push_to
from gitlab_emulator.replies import Reply, created, json_reply
from gitlab_emulator.routes import ApiRouter

router = ApiRouter()
_KINDS = ("create", "update", "move", "delete", "chmod")
_CONFLICT = (
    "Sorry, we cannot {verb} this commit automatically. This commit may already have been {past}, "
    "or a more recent commit may have updated some of its content."
)


@router.post("/projects/:id/repository/commits")
def create_commit(call: Call) -> Reply:
    """One atomic commit of several actions."""
    access = call.project()
    branch = call.params.text("branch")
    _ = call.user
    check_push(call, access, branch)
    request = _request(call)
    start_project = call.params.optional_text("start_project")
    if start_project not in (None, str(access.project.id), access.project.full_path):
        raise forbidden(f"Project is not included in the fork network for {access.project.full_path}")
    commit = commit_changes(call.services, access, call.user, call.base_url, request)
    return created(detail_json(call, access, commit, stats=call.params.boolean("stats", default=True)))


@router.post("/projects/:id/repository/commits/:sha/revert")
def revert_commit(call: Call) -> Reply:
    """Undo a commit on a branch."""
    return _replay(call, verb="revert", past="reverted")


@router.post("/projects/:id/repository/commits/:sha/cherry_pick")
def cherry_pick_commit(call: Call) -> Reply:
    """Repeat a commit on a branch."""
    return _replay(call, verb="cherry-pick", past="cherry-picked")


def check_push(call: Call, access: ProjectAccess, branch: str) -> None:
    """403 when the caller may not push to a branch at all."""
    with call.services.database.reading() as connection:
        if not may_push_to(connection, access, branch):
            raise forbidden("You are not allowed to push into this branch")


def decoded(content: str, encoding: str) -> bytes:
    """A file's bytes; base64 is read as leniently as Ruby does."""
    if encoding != "base64":
        return content.encode("utf-8", "surrogateescape")
    try:
        return base64.b64decode(content + "=" * (-len(content) % 4))
    except (binascii.Error, ValueError):
        raise with_error("content is invalid") from None


def _request(call: Call) -> ChangeRequest:
    params = call.params
    for name in ("branch", "commit_message"):
        if not params.text(name).strip():
            raise bad_request(f"{name} is required")
    actions = params.raw("actions")
    if not isinstance(actions, list) or not (actions or params.boolean("allow_empty")):
        raise bad_request("actions is required")
    if params.optional_text("start_branch") and params.optional_text("start_sha"):
        raise bad_request("start_branch, start_sha are mutually exclusive")
    return ChangeRequest(
        branch=params.text("branch"),
        message=params.text("commit_message"),
        actions=[_action(index, action) for index, action in enumerate(actions)],
        start_branch=params.optional_text("start_branch"),
        start_sha=params.optional_text("start_sha"),
        author_name=params.optional_text("author_name"),
        author_email=params.optional_text("author_email"),
        force=params.boolean("force"),
    )


def _action(index: int, given: object) -> Action:
    """Check the shape of one action, in GitLab's order and words."""
    if not isinstance(given, Mapping):
        raise bad_request(f"actions[{index}] must be a hash")
    kind = given.get("action")
    if not kind:
        raise bad_request(f"actions[{index}][action] is required")
    if not given.get("file_path"):
        raise bad_request(f"actions[{index}][file_path] is required")
    if kind not in _KINDS:
        raise bad_request(f"actions[{index}][action] must be one of: create, update, move, delete, chmod")
    encoding = given.get("encoding") or "text"
    if encoding not in ("text", "base64"):
        raise bad_request(f"actions[{index}][encoding] must be text or base64")
    content = given.get("content")
    if kind == "update" and content is None:
        raise bad_request(f"actions[{index}][content] is required for update action")
    if kind == "move" and not given.get("previous_path"):
        raise bad_request(f"actions[{index}][previous_path] is required for move action")
    executable = given.get("execute_filemode")
    if kind == "chmod" and executable is None:
        raise bad_request(f"actions[{index}][execute_filemode] is required for chmod action")
    takes_content = kind in ("create", "update", "move") and content is not None
    last_commit_id = given.get("last_commit_id")
    return Action(
        kind=str(kind),
        path=str(given["file_path"]),
        previous_path=str(given["previous_path"]) if kind == "move" else "",
        content=decoded(str(content), str(encoding)) if takes_content else None,
        last_commit_id=str(last_commit_id) if last_commit_id else None,
        executable=None if executable is None else str(executable).lower() in ("true", "1"),
    )


def _replay(call: Call, *, verb: str, past: str) -> Reply:
    access = call.project()
    call.params.require("branch", blank=False)
    branch, repository, dry_run = call.params.text("branch"), access.repository, call.params.boolean("dry_run")
    _ = call.user
    check_push(call, access, branch)
    commit = existing_commit(access, call.path["sha"])
    with repository.writing:
        head = repository.head(branch)
        if head is None:
            raise not_found("Branch")
        tree = _replayed_tree(access, commit, head, verb=verb, past=past, dry_run=dry_run)
        if dry_run:
            return json_reply({"dry_run": "success"})
        made = encode_commit(
            tree=tree,
            parents=[head],
            author=signed_by(call.user) if verb == "revert" else commit.author,
            committer=signed_by(call.user),
            message=_message(call, commit, verb),
        )
        repository.write([made])
        change = RefChange(head, made.id, HEADS + branch)
        move_or_refuse(repository, change)
    after_push(call.services, Happening(access.project, call.user, call.base_url), repository, [change])
    return created(detail_json(call, access, repository.commit(made.id), stats=True))


def _replayed_tree(access: ProjectAccess, commit: Commit, head: str, *, verb: str, past: str, dry_run: bool) -> str:
    refusal: dict[str, object] = {"message": _CONFLICT.format(verb=verb, past=past)}
    if dry_run:
        refusal["dry_run"] = "error"
    try:
        tree = apply_commit(access.repository, commit, head, reverse=verb == "revert")
    except MergeConflictError:
        raise ApiError(400, refusal | {"error_code": "conflict"}) from None
    if tree == access.repository.commit(head).tree:
        raise ApiError(400, refusal | {"error_code": "empty"})
    return tree


def _message(call: Call, commit: Commit, verb: str) -> str:
    given = call.params.optional_text("message")
    if given:
        return given
    if verb == "revert":
        return f'Revert "{commit.title}"\n\nThis reverts commit {commit.id}'
    return f"{commit.message.rstrip()}\n\n(cherry picked from commit {commit.id})"

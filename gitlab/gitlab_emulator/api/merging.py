"""Merging and rebasing a merge request."""

from gitlab_emulator.api.merge_requests import detail_json, may_merge, visible_merge_request
from gitlab_emulator.call import Call, ProjectAccess
from gitlab_emulator.commit_changes import move_or_refuse, signed_by
from gitlab_emulator.errors import forbidden, not_found, plain, unauthorized, with_message
from gitlab_emulator.events import Happening
from gitlab_emulator.git.history import CommitQuery, list_commits
from gitlab_emulator.git.merging import MergeConflictError, apply_commit, merged_tree
from gitlab_emulator.git.objects import NULL_ID, RawObject, encode_commit
from gitlab_emulator.git.repository import HEADS, RefChange
from gitlab_emulator.merge_state import MergeState, merge_state
from gitlab_emulator.push import after_push, announce_merge_request, may_push_to, refusal
from gitlab_emulator.replies import Reply, json_reply
from gitlab_emulator.routes import ApiRouter
from gitlab_emulator.store.merge_requests import change_merge_request
from gitlab_emulator.store.records import MergeRequest
from gitlab_emulator.times import timestamp

router = ApiRouter()


@router.put("/projects/:id/merge_requests/:iid/merge")
def accept_merge_request(call: Call) -> Reply:
    """Merge, if the head still is the given `sha`. 401 is GitLab's word for "this user may not merge"."""
    access, merge_request = visible_merge_request(call)
    _ = call.user
    if not may_merge(call, access, merge_request):
        raise unauthorized()
    with access.repository.writing:
        state = merge_state(access.repository, merge_request, call.services.lag.settings.merge_status_s)
        sha = call.params.optional_text("sha")
        if state.detailed_status == "conflict":
            raise with_message(422, "Branch cannot be merged")
        if state.detailed_status != "mergeable":
            raise plain(405)
        if sha is not None and sha != state.head:
            raise with_message(409, f"SHA does not match HEAD of source branch: {state.head}")
        changes = _merge(call, access, merge_request, state)
    happening = Happening(access.project, call.user, call.base_url)
    after_push(call.services, happening, access.repository, changes)
    _, merged = visible_merge_request(call)
    return json_reply(detail_json(call, access, merged))


@router.put("/projects/:id/merge_requests/:iid/rebase")
def rebase_merge_request(call: Call) -> Reply:
    """Replay the source branch on its target; the answer says "in progress", as if a job did it."""
    access, merge_request = visible_merge_request(call)
    _ = call.user
    branch, repository = merge_request.source_branch, access.repository
    with call.services.database.reading() as connection:
        if not may_push_to(connection, access, branch):
            raise forbidden("Cannot push to source branch")
    with repository.writing:
        state = merge_state(repository, merge_request, 0)
        if merge_request.state != "opened" or state.head is None or state.target is None or state.base is None:
            raise forbidden("Source branch does not exist")
        change = RefChange(state.head, _replayed(call, access, state), HEADS + branch)
        if change.new != change.old:
            move_or_refuse(repository, change)
    if change.new != change.old:
        after_push(call.services, Happening(access.project, call.user, call.base_url), repository, [change])
    return json_reply({"rebase_in_progress": True}, 202)


@router.get("/projects/:id/merge_requests/:iid/merge_ref")
def get_merge_ref(call: Call) -> Reply:
    """The commit a merge would make, without moving a branch."""
    access, merge_request = visible_merge_request(call)
    state = merge_state(access.repository, merge_request, 0)
    if state.detailed_status not in ("mergeable", "draft_status"):
        raise with_message(400, "Merge request is not mergeable")
    commit = _merge_commit(call, access, merge_request, state)
    access.repository.write([commit])
    return json_reply({"commit_id": commit.id})


@router.get("/projects/:id/merge_requests/:iid/approvals")
def get_approvals(call: Call) -> Reply:
    """Nobody's approval is asked for."""
    _, merge_request = visible_merge_request(call)
    return json_reply(
        {
            "id": merge_request.id,
            "iid": merge_request.iid,
            "project_id": merge_request.project_id,
            "approved": True,
            "approved_by": [],
            "approvals_required": 0,
            "approvals_left": 0,
            "user_has_approved": False,
            "user_can_approve": True,
        }
    )


def _replayed(call: Call, access: ProjectAccess, state: MergeState) -> str:
    """The head of the source's own commits on top of the target; 409 when one does not apply."""
    repository = access.repository
    if state.head is None or state.target is None or state.base == state.target:
        return state.head or ""
    head = state.target
    for commit in reversed(list_commits(repository, CommitQuery((state.head, f"^{state.target}")))):
        if len(commit.parents) > 1:
            continue
        try:
            tree = apply_commit(repository, commit, head, reverse=False)
        except MergeConflictError:
            raise with_message(409, "Rebase failed: Rebase locally, resolve all conflicts, then push") from None
        made = encode_commit(
            tree=tree, parents=[head], author=commit.author, committer=signed_by(call.user), message=commit.message
        )
        repository.write([made])
        head = made.id
    return head


def _merge(call: Call, access: ProjectAccess, merge_request: MergeRequest, state: MergeState) -> list[RefChange]:
    """Lock the row with the commit to come, move the target, then mark it merged: every cut between can be settled."""
    repository, services = access.repository, call.services
    assert state.target is not None
    assert state.head is not None
    commit = _merge_commit(call, access, merge_request, state)
    repository.write([commit])
    change = RefChange(state.target, commit.id, HEADS + merge_request.target_branch)
    with services.database.writing() as connection:
        locked = change_merge_request(
            connection,
            merge_request,
            state="locked",
            merge_commit_sha=commit.id,
            merged_by_id=call.user.id,
            head_sha=state.head,
            base_sha=state.base,
        )
    try:
        move_or_refuse(repository, change)
    except BaseException:
        with services.database.writing() as connection:
            change_merge_request(connection, locked, state="opened", merge_commit_sha=None, merged_by_id=None)
        raise
    happening = Happening(access.project, call.user, call.base_url)
    with services.database.writing() as connection:
        merged = change_merge_request(connection, locked, state="merged", merged_at=timestamp())
        announce_merge_request(connection, services, happening, repository, merged, "merge")
    return [change, *_removed_source(call, access, merge_request, state.head)]


def _merge_commit(call: Call, access: ProjectAccess, merge_request: MergeRequest, state: MergeState) -> RawObject:
    if state.target is None or state.head is None:
        raise not_found("Branch")
    tree = merged_tree(access.repository, state.target, state.head)
    if tree is None:
        raise with_message(422, "Branch cannot be merged")
    squash = call.params.boolean("squash", default=merge_request.squash)
    return encode_commit(
        tree=tree,
        parents=[state.target] if squash else [state.target, state.head],
        author=signed_by(call.user),
        committer=signed_by(call.user),
        message=_message(call, access, merge_request, squash=squash),
    )


def _message(call: Call, access: ProjectAccess, merge_request: MergeRequest, *, squash: bool) -> str:
    given = call.params.optional_text("squash_commit_message" if squash else "merge_commit_message")
    if given:
        return given
    if squash:
        return merge_request.title
    return (
        f"Merge branch '{merge_request.source_branch}' into '{merge_request.target_branch}'\n\n{merge_request.title}"
        f"\n\nSee merge request {access.project.full_path}!{merge_request.iid}"
    )


def _removed_source(call: Call, access: ProjectAccess, merge_request: MergeRequest, head: str) -> list[RefChange]:
    """Delete the source branch where that is wanted and allowed; a branch that moved on meanwhile stays."""
    wanted = call.params.boolean("should_remove_source_branch", default=merge_request.remove_source_branch)
    change = RefChange(head, NULL_ID, HEADS + merge_request.source_branch)
    if not wanted or access.repository.head(merge_request.source_branch) != head:
        return []
    with call.services.database.reading() as connection:
        if refusal(connection, access, change, web=True):
            return []
    move_or_refuse(access.repository, change)
    return [change]

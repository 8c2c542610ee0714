"""Merge requests: lists, creation and changes."""

import json
import sqlite3

from gitlab_emulator.api.issues import changed_labels, label_filters
from gitlab_emulator.call import Call, ProjectAccess, find_project
from gitlab_emulator.errors import forbidden, invalid, not_found, with_message
from gitlab_emulator.events import Happening
from gitlab_emulator.git.diffs import FileDiff, diff_trees
from gitlab_emulator.git.history import CommitQuery, list_commits, merge_base
from gitlab_emulator.merge_state import merge_state
from gitlab_emulator.pagination import counted_headers, list_reply, page_of, refuse_keyset, requested_page
from gitlab_emulator.present import Json
from gitlab_emulator.present.commits import commit_json, diff_json
from gitlab_emulator.present.merge_requests import merge_request_detail, merge_request_json
from gitlab_emulator.present.people import people
from gitlab_emulator.present.projects import project_url
from gitlab_emulator.push import announce_merge_request, may_push_to
from gitlab_emulator.replies import Reply, created, json_reply, no_content
from gitlab_emulator.routes import ApiRouter
from gitlab_emulator.store.issues import Where
from gitlab_emulator.store.merge_requests import (
    add_merge_request,
    change_merge_request,
    find_merge_requests,
    merge_request_by_iid,
    open_twin,
)
from gitlab_emulator.store.projects import all_projects, role_in_project
from gitlab_emulator.store.records import MergeRequest, Role
from gitlab_emulator.store.users import user_by_id, user_by_name
from gitlab_emulator.times import timestamp

router = ApiRouter()
_STATES = ("opened", "closed", "locked", "merged", "all")
_SCOPES = ("created_by_me", "assigned_to_me", "reviews_for_me", "all")
_ORDERS = {"created_at": "created_at", "updated_at": "updated_at", "title": "title", "merged_at": "merged_at"}
_CHANGEABLE = (
    "title",
    "description",
    "target_branch",
    "state_event",
    "labels",
    "add_labels",
    "remove_labels",
    "assignee_id",
    "assignee_ids",
    "reviewer_ids",
    "remove_source_branch",
    "squash",
)


@router.get("/merge_requests")
def list_own_merge_requests(call: Call) -> Reply:
    """`GET /merge_requests`: what the caller created unless `scope` says otherwise."""
    user = call.user
    with call.services.database.reading() as connection:
        readable = [
            one.id
            for one in all_projects(connection)
            if one.visibility != "private" or role_in_project(connection, one, user) >= Role.REPORTER
        ]
    where = Where().also("project_id IN (SELECT value FROM json_each(?))", json.dumps(readable))
    return _list(call, where, default_scope="created_by_me")


@router.get("/projects/:id/merge_requests")
def list_merge_requests(call: Call) -> Reply:
    """`GET /projects/:id/merge_requests`: everybody's, of all states."""
    access = call.code()
    return _list(call, Where().also("project_id = ?", access.project.id), default_scope="all")


@router.get("/projects/:id/merge_requests/:iid")
def get_merge_request(call: Call) -> Reply:
    """`GET /projects/:id/merge_requests/:iid`."""
    access, merge_request = visible_merge_request(call)
    return json_reply(detail_json(call, access, merge_request))


@router.post("/projects/:id/merge_requests")
def create_merge_request(call: Call) -> Reply:
    """`POST /projects/:id/merge_requests`: one open request between two branches at a time."""
    access = call.project(Role.DEVELOPER)
    params = call.params
    params.require("source_branch", "target_branch", "title")
    source, target = params.text("source_branch"), params.text("target_branch")
    other = params.optional_text("target_project_id")
    if other not in (None, str(access.project.id)):
        raise with_message(422, ["Source project is not a fork of the target project"])
    if source == target:
        raise with_message(422, ["You can't use same project/branch for source and target"])
    if not params.text("title").strip():
        raise invalid(title="can't be blank")
    repository = access.repository
    head, target_head = repository.head(source), repository.head(target)
    with call.services.database.writing() as connection:
        twin = open_twin(connection, access.project.id, source, target)
        if twin is not None:
            raise with_message(409, [f"Another open merge request already exists for this source branch: !{twin.iid}"])
        merge_request = add_merge_request(
            connection,
            access.project.id,
            title=params.text("title"),
            description=params.optional_text("description"),
            source_branch=source,
            target_branch=target,
            head_sha=head,
            base_sha=merge_base(repository, head, target_head) if head and target_head else None,
            labels=tuple(sorted(set(params.texts("labels")))),
            author_id=call.user.id,
            assignee_ids=_people(call, connection, "assignee_ids", "assignee_id"),
            reviewer_ids=_people(call, connection, "reviewer_ids"),
            squash=params.boolean("squash"),
            remove_source_branch=params.boolean("remove_source_branch"),
        )
        happening = Happening(access.project, call.user, call.base_url)
        announce_merge_request(connection, call.services, happening, repository, merge_request, "open")
    call.services.deliveries.wake()
    return created(detail_json(call, access, merge_request))


@router.put("/projects/:id/merge_requests/:iid")
def update_merge_request(call: Call) -> Reply:
    """`PUT /projects/:id/merge_requests/:iid`."""
    access, merge_request = visible_merge_request(call)
    if access.role < Role.DEVELOPER and merge_request.author_id != call.user.id:
        raise forbidden()
    call.params.require_any(*_CHANGEABLE)
    happening = Happening(access.project, call.user, call.base_url)
    with call.services.database.writing() as connection:
        changes = _changes(call, connection, access, merge_request)
        changed = change_merge_request(connection, merge_request, **changes) if changes else merge_request
        if changes:
            action = {"closed": "close", "opened": "reopen"}.get(str(changes.get("state")), "update")
            shown: dict[str, object] = {
                name: {"previous": getattr(merge_request, name), "current": value} for name, value in changes.items()
            }
            announce_merge_request(
                connection, call.services, happening, access.repository, changed, action, changes=shown
            )
    call.services.deliveries.wake()
    return json_reply(detail_json(call, access, changed))


@router.delete("/projects/:id/merge_requests/:iid")
def delete_merge_request(call: Call) -> Reply:
    """`DELETE /projects/:id/merge_requests/:iid`, by an owner."""
    access, merge_request = visible_merge_request(call)
    if access.role < Role.OWNER:
        raise forbidden()
    with call.services.database.writing() as connection:
        connection.execute(
            "DELETE FROM notes WHERE noteable_kind = 'MergeRequest' AND noteable_id = ?", (merge_request.id,)
        )
        connection.execute("DELETE FROM merge_requests WHERE id = ?", (merge_request.id,))
    return no_content()


@router.get("/projects/:id/merge_requests/:iid/commits")
def list_commits_of(call: Call) -> Reply:
    """The commits of a merge request, newest first."""
    access, merge_request = visible_merge_request(call)
    state = merge_state(access.repository, merge_request, 0)
    web_url = project_url(access.project, call.base_url)
    revisions = (state.head, f"^{state.base}") if state.head and state.base else ()
    found = list_commits(access.repository, CommitQuery(revisions)) if revisions else []
    page, headers = page_of(call, found)
    return list_reply([commit_json(one, web_url) for one in page], headers)


@router.get("/projects/:id/merge_requests/:iid/changes")
def get_changes(call: Call) -> Reply:
    """A merge request with its whole diff."""
    access, merge_request = visible_merge_request(call)
    changes = [diff_json(change) for change in _diff(access, merge_request)]
    return json_reply(detail_json(call, access, merge_request) | {"changes": changes, "overflow": False})


@router.get("/projects/:id/merge_requests/:iid/diffs")
def list_diffs(call: Call) -> Reply:
    """The diff of a merge request, file by file."""
    access, merge_request = visible_merge_request(call)
    page, headers = page_of(call, _diff(access, merge_request))
    return list_reply([diff_json(change) for change in page], headers)


@router.get("/projects/:id/merge_requests/:iid/participants")
def list_participants(call: Call) -> Reply:
    """Author, assignees and reviewers."""
    _, merge_request = visible_merge_request(call)
    ids = dict.fromkeys((merge_request.author_id, *merge_request.assignee_ids, *merge_request.reviewer_ids))
    with call.services.database.reading() as connection:
        page, headers = page_of(call, people(connection, ids, call.base_url))
    return list_reply(page, headers)


def visible_merge_request(call: Call) -> tuple[ProjectAccess, MergeRequest]:
    """The merge request of `:iid`, 404 when there is none."""
    access = call.code()
    with call.services.database.reading() as connection:
        found = merge_request_by_iid(connection, access.project.id, call.number("iid"))
    if found is None:
        raise not_found()
    return access, found


def may_merge(call: Call, access: ProjectAccess, merge_request: MergeRequest) -> bool:
    """Whether the caller may merge into the target branch."""
    with call.services.database.reading() as connection:
        return access.role >= Role.DEVELOPER and may_push_to(connection, access, merge_request.target_branch)


def detail_json(call: Call, access: ProjectAccess, merge_request: MergeRequest) -> Json:
    """A merge request at its own address."""
    state = merge_state(access.repository, merge_request, call.services.lag.settings.merge_status_s)
    with call.services.database.reading() as connection:
        return merge_request_detail(
            connection,
            merge_request,
            access.project,
            state,
            call.base_url,
            repository=access.repository,
            can_merge=call.identity is not None and may_merge(call, access, merge_request),
        )


def _diff(access: ProjectAccess, merge_request: MergeRequest) -> tuple[FileDiff, ...]:
    state = merge_state(access.repository, merge_request, 0)
    return diff_trees(access.repository, state.base, state.head) if state.base and state.head else ()


def _list(call: Call, where: Where, *, default_scope: str) -> Reply:
    refuse_keyset(call)
    params, page = call.params, requested_page(call)
    scope = params.choice("scope", _SCOPES, default_scope)
    if scope == "created_by_me":
        where = where.also("author_id = ?", call.user.id)
    elif scope != "all":
        among = "EXISTS (SELECT 1 FROM json_each(assignee_ids) WHERE value = ?)"
        where = where.also(among if scope == "assigned_to_me" else among.replace("assignee", "reviewer"), call.user.id)
    where = _filtered(call, where)
    order = _ORDERS[params.choice("order_by", _ORDERS, "created_at")]
    sort = params.choice("sort", ("asc", "desc"), "desc")
    with call.services.database.reading() as connection:
        found, total = find_merge_requests(
            connection, where, order=f"{order} {sort}, id {sort}", limit=page.size, offset=page.offset
        )
        shown = [_json(call, connection, one) for one in found]
    return list_reply(shown, counted_headers(call, page, total))


def _filtered(call: Call, where: Where) -> Where:
    params = call.params
    state = params.choice("state", _STATES, "all")
    if state != "all":
        where = where.also("state = ?", state)
    for name in ("source_branch", "target_branch"):
        value = params.optional_text(name)
        where = where.also(f"{name} = ?", value) if value else where
    iids = params.integers("iids")
    if iids:
        where = where.also("iid IN (SELECT value FROM json_each(?))", json.dumps(iids))
    search = params.text("search").lower()
    if search:
        match = "(instr(lower(title), ?) OR instr(lower(coalesce(description, '')), ?))"
        where = where.also(match, search, search)
    for name, condition in (
        ("created_after", "created_at >= ?"),
        ("created_before", "created_at <= ?"),
        ("updated_after", "updated_at >= ?"),
        ("updated_before", "updated_at <= ?"),
    ):
        moment = params.time(name)
        where = where.also(condition, moment) if moment else where
    author = params.integer("author_id")
    where = where.also("author_id = ?", author) if author is not None else where
    username = params.optional_text("author_username")
    if username is not None:
        with call.services.database.reading() as connection:
            user = user_by_name(connection, username)
        where = where.also("author_id = ?", user.id if user else 0)
    return label_filters(call, where)


def _json(call: Call, connection: sqlite3.Connection, merge_request: MergeRequest) -> Json:
    viewer = call.identity.user if call.identity else None
    access = find_project(call.services, str(merge_request.project_id), viewer)
    if access is None:
        raise not_found("Project")
    state = merge_state(access.repository, merge_request, call.services.lag.settings.merge_status_s)
    return merge_request_json(connection, merge_request, access.project, state, call.base_url)


def _people(call: Call, connection: sqlite3.Connection, plural: str, singular: str = "") -> tuple[int, ...]:
    wanted = call.params.integers(plural)
    one = call.params.integer(singular) if singular else None
    return tuple(dict.fromkeys(who for who in (*wanted, *([one] if one else [])) if user_by_id(connection, who)))


def _changes(
    call: Call, connection: sqlite3.Connection, access: ProjectAccess, merge_request: MergeRequest
) -> dict[str, object]:
    """The columns that an update really changes."""
    params = call.params
    wanted: dict[str, object] = {"labels": changed_labels(call, merge_request.labels)}
    if "title" in params:
        wanted["title"] = params.text("title")
        if not params.text("title").strip():
            raise invalid(title="can't be blank")
    if "description" in params:
        wanted["description"] = params.optional_text("description")
    if "target_branch" in params:
        wanted["target_branch"] = params.text("target_branch")
    for name in ("squash", "remove_source_branch"):
        if name in params:
            wanted[name] = params.boolean(name)
    if "assignee_ids" in params or "assignee_id" in params:
        wanted["assignee_ids"] = _people(call, connection, "assignee_ids", "assignee_id")
    if "reviewer_ids" in params:
        wanted["reviewer_ids"] = _people(call, connection, "reviewer_ids")
    event = params.choice("state_event", ("close", "reopen"), "")
    if event == "close" and merge_request.state == "opened":
        wanted |= {"state": "closed", "closed_at": timestamp(), "closed_by_id": call.user.id}
    elif event == "reopen" and merge_request.state == "closed":
        twin = open_twin(connection, access.project.id, merge_request.source_branch, merge_request.target_branch)
        if twin is not None:
            raise with_message(409, [f"Another open merge request already exists for this source branch: !{twin.iid}"])
        wanted |= {"state": "opened", "closed_at": None, "closed_by_id": None}
    return {name: value for name, value in wanted.items() if getattr(merge_request, name) != value}

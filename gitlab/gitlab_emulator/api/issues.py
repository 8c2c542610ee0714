"""Issues."""

import json
from collections.abc import Mapping

from gitlab_emulator.call import Call, ProjectAccess, find_project
from gitlab_emulator.errors import forbidden, invalid, not_found
from gitlab_emulator.events import Happening, announce, issue_body
from gitlab_emulator.pagination import counted_headers, list_reply, refuse_keyset, requested_page
from gitlab_emulator.present import Json
from gitlab_emulator.present.issues import issue_detail, issue_json
from gitlab_emulator.replies import Reply, created, json_reply, no_content
from gitlab_emulator.routes import ApiRouter
from gitlab_emulator.store.issues import Where, add_issue, find_issues, issue_by_iid
from gitlab_emulator.store.projects import all_projects, role_in_project
from gitlab_emulator.store.records import Issue, Project, Role, update
from gitlab_emulator.store.users import user_by_id, user_by_name
from gitlab_emulator.times import timestamp

router = ApiRouter()
_CHANGEABLE = (
    "title",
    "description",
    "labels",
    "add_labels",
    "remove_labels",
    "assignee_ids",
    "assignee_id",
    "state_event",
    "due_date",
    "confidential",
    "issue_type",
)
_TYPES = ("issue", "incident", "task", "test_case")
_ORDERS = {"created_at": "created_at", "updated_at": "updated_at", "title": "title", "due_date": "due_date"}


@router.get("/issues")
def list_own_issues(call: Call) -> Reply:
    """`GET /issues`: what the caller created unless `scope` says otherwise."""
    user = call.user
    default = "created_by_me"
    scope = call.params.choice(
        "scope", ("created_by_me", "created-by-me", "assigned_to_me", "assigned-to-me", "all"), default
    )
    with call.services.database.reading() as connection:
        readable = [
            one.id
            for one in all_projects(connection)
            if one.visibility != "private" or role_in_project(connection, one, user)
        ]
    where = Where().also("project_id IN (SELECT value FROM json_each(?))", json.dumps(readable))
    return _list(call, _scoped(where, scope, user.id))


@router.get("/projects/:id/issues")
def list_issues(call: Call) -> Reply:
    """`GET /projects/:id/issues`: those of one project, everybody's."""
    access = call.project()
    scope = call.params.choice(
        "scope", ("created_by_me", "created-by-me", "assigned_to_me", "assigned-to-me", "all"), "all"
    )
    where = Where().also("project_id = ?", access.project.id)
    return _list(call, where if scope == "all" else _scoped(where, scope, call.user.id))


@router.get("/projects/:id/issues/:iid")
def get_issue(call: Call) -> Reply:
    """`GET /projects/:id/issues/:iid`."""
    access, issue = visible_issue(call)
    return json_reply(_detail(call, issue, access.project))


@router.post("/projects/:id/issues")
def create_issue(call: Call) -> Reply:
    """`POST /projects/:id/issues`."""
    access = call.project(Role.GUEST)
    call.params.require("title")
    title = call.params.text("title").strip()
    if not title:
        raise invalid(title="can't be blank")
    with call.services.database.writing() as connection:
        issue = add_issue(
            connection,
            access.project.id,
            title=title,
            description=call.params.optional_text("description"),
            labels=tuple(sorted(set(call.params.texts("labels")))),
            author_id=call.user.id,
            assignee_ids=_assignees(call) or (),
            issue_type=call.params.choice("issue_type", _TYPES, "issue"),
            confidential=call.params.boolean("confidential"),
            due_date=call.params.day("due_date"),
        )
        _announce(call, access, issue, "open", {})
    call.services.deliveries.wake()
    return created(_detail(call, issue, access.project))


@router.put("/projects/:id/issues/:iid")
def update_issue(call: Call) -> Reply:
    """`PUT /projects/:id/issues/:iid`."""
    access, issue = visible_issue(call)
    own = issue.author_id == call.user.id or call.user.id in issue.assignee_ids
    if access.role < Role.PLANNER and not own:
        raise forbidden()
    call.params.require_any(*_CHANGEABLE)
    changes = _changes(call, issue)
    with call.services.database.writing() as connection:
        if changes:
            update(connection, "issues", issue.id, updated_at=timestamp(), **changes)
        changed = issue_by_iid(connection, issue.project_id, issue.iid)
        assert changed is not None
        if changes:
            action = {"closed": "close", "opened": "reopen"}.get(str(changes.get("state")), "update")
            _announce(call, access, changed, action, _difference(issue, changes))
    call.services.deliveries.wake()
    return json_reply(_detail(call, changed, access.project))


@router.delete("/projects/:id/issues/:iid")
def delete_issue(call: Call) -> Reply:
    """`DELETE /projects/:id/issues/:iid`, by an owner."""
    access, issue = visible_issue(call)
    if access.role < Role.OWNER:
        raise forbidden()
    with call.services.database.writing() as connection:
        connection.execute("DELETE FROM notes WHERE noteable_kind = 'Issue' AND noteable_id = ?", (issue.id,))
        connection.execute("DELETE FROM issues WHERE id = ?", (issue.id,))
    return no_content()


def visible_issue(call: Call) -> tuple[ProjectAccess, Issue]:
    """The issue of `:iid`; a confidential one is hidden from those it does not concern."""
    access = call.project()
    with call.services.database.reading() as connection:
        issue = issue_by_iid(connection, access.project.id, call.number("iid"))
    user_id = call.identity.user.id if call.identity else 0
    if issue is None or (issue.confidential and not _may_see_confidential(access.role, issue, user_id)):
        raise not_found()
    return access, issue


def _may_see_confidential(role: int, issue: Issue, user_id: int) -> bool:
    return role >= Role.PLANNER or user_id == issue.author_id or user_id in issue.assignee_ids


def _scoped(where: Where, scope: str, user_id: int) -> Where:
    if scope.startswith("created"):
        return where.also("author_id = ?", user_id)
    if scope.startswith("assigned"):
        return where.also("EXISTS (SELECT 1 FROM json_each(assignee_ids) WHERE value = ?)", user_id)
    return where


def _list(call: Call, where: Where) -> Reply:
    refuse_keyset(call)
    page = requested_page(call)
    order = _ORDERS[call.params.choice("order_by", _ORDERS, "created_at")]
    sort = call.params.choice("sort", ("asc", "desc"), "desc")
    where = _hide_confidential(call, _filtered(call, where))
    with call.services.database.reading() as connection:
        issues, total = find_issues(
            connection, where, order=f"{order} {sort}, id {sort}", limit=page.size, offset=page.offset
        )
        details = call.params.boolean("with_labels_details")
        shown = [
            issue_json(connection, one, _project_of(call, one), call.base_url, label_details=details) for one in issues
        ]
    return list_reply(shown, counted_headers(call, page, total))


def _hide_confidential(call: Call, where: Where) -> Where:
    if call.identity is None:
        return where.also("confidential = 0")
    user = call.user
    if user.is_admin:
        return where
    with call.services.database.reading() as connection:
        open_to = [one.id for one in all_projects(connection) if role_in_project(connection, one, user) >= Role.PLANNER]
    return where.also(
        "(confidential = 0 OR author_id = ? OR project_id IN (SELECT value FROM json_each(?))"
        " OR EXISTS (SELECT 1 FROM json_each(assignee_ids) WHERE value = ?))",
        user.id,
        json.dumps(open_to),
        user.id,
    )


def _filtered(call: Call, where: Where) -> Where:
    params = call.params
    state = params.choice("state", ("opened", "closed", "all"), "all")
    if state != "all":
        where = where.also("state = ?", state)
    where = label_filters(call, where)
    iids = params.integers("iids")
    if iids:
        where = where.also("iid IN (SELECT value FROM json_each(?))", json.dumps(iids))
    search = params.text("search")
    if search:
        fields = [name for name in params.texts("in") or ("title", "description") if name in ("title", "description")]
        match = " OR ".join(f"instr(lower(coalesce({name}, '')), ?)" for name in fields)
        where = where.also(f"({match})", *[search.lower()] * len(fields))
    where = _people_filters(call, where)
    for name, condition in (
        ("created_after", "created_at >= ?"),
        ("created_before", "created_at <= ?"),
        ("updated_after", "updated_at >= ?"),
        ("updated_before", "updated_at <= ?"),
    ):
        moment = params.time(name)
        where = where.also(condition, moment) if moment else where
    milestone = params.optional_text("milestone")
    return where.also("0") if milestone not in (None, "None") else where


def label_filters(call: Call, where: Where) -> Where:
    """`labels` (all of them, `None`, `Any`) and `not[labels]`."""
    labels = call.params.texts("labels")
    if labels == ("None",):
        where = where.also("labels = '[]'")
    elif labels == ("Any",):
        where = where.also("labels <> '[]'")
    else:
        for label in labels:
            where = where.also("EXISTS (SELECT 1 FROM json_each(labels) WHERE value = ?)", label)
    unwanted = call.params.mapping("not").get("labels")
    for label in str(unwanted).split(",") if unwanted else ():
        where = where.also("NOT EXISTS (SELECT 1 FROM json_each(labels) WHERE value = ?)", label)
    return where


def _people_filters(call: Call, where: Where) -> Where:
    params = call.params
    assignee = params.optional_text("assignee_id")
    if assignee == "None":
        where = where.also("assignee_ids = '[]'")
    elif assignee == "Any":
        where = where.also("assignee_ids <> '[]'")
    elif assignee is not None:
        where = where.also(
            "EXISTS (SELECT 1 FROM json_each(assignee_ids) WHERE value = ?)", params.integer("assignee_id") or 0
        )
    author = params.integer("author_id")
    if author is not None:
        where = where.also("author_id = ?", author)
    with call.services.database.reading() as connection:
        for name in params.texts("assignee_username"):
            user = user_by_name(connection, name)
            where = where.also("EXISTS (SELECT 1 FROM json_each(assignee_ids) WHERE value = ?)", user.id if user else 0)
        username = params.optional_text("author_username")
        if username is not None:
            user = user_by_name(connection, username)
            where = where.also("author_id = ?", user.id if user else 0)
    return where


def _assignees(call: Call) -> tuple[int, ...] | None:
    """The assignees a call names, None when it names none; unknown users and the 0 of "nobody" are dropped."""
    params = call.params
    if "assignee_ids" in params:
        wanted = params.integers("assignee_ids")
    elif "assignee_id" in params:
        wanted = tuple(one for one in (params.integer("assignee_id"),) if one)
    else:
        return None
    with call.services.database.reading() as connection:
        return tuple(dict.fromkeys(one for one in wanted if user_by_id(connection, one)))


def _changes(call: Call, issue: Issue) -> dict[str, object]:
    """The columns that an update really changes."""
    params = call.params
    wanted: dict[str, object] = {}
    if "title" in params:
        wanted["title"] = params.text("title").strip()
        if not wanted["title"]:
            raise invalid(title="can't be blank")
    for name in ("description", "due_date"):
        if name in params:
            wanted[name] = params.day(name) if name == "due_date" else params.optional_text(name)
    if "confidential" in params:
        wanted["confidential"] = params.boolean("confidential")
    if "issue_type" in params:
        wanted["issue_type"] = params.choice("issue_type", _TYPES, issue.issue_type)
    wanted["labels"] = changed_labels(call, issue.labels)
    assignees = _assignees(call)
    wanted["assignee_ids"] = issue.assignee_ids if assignees is None else assignees
    event = params.choice("state_event", ("close", "reopen"), "")
    if event == "close" and issue.state == "opened":
        wanted |= {"state": "closed", "closed_at": timestamp(), "closed_by_id": call.user.id}
    elif event == "reopen" and issue.state == "closed":
        wanted |= {"state": "opened", "closed_at": None, "closed_by_id": None}
    return {name: value for name, value in wanted.items() if getattr(issue, name) != value}


def changed_labels(call: Call, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels after `labels`, `add_labels` and `remove_labels`."""
    params = call.params
    kept = set(params.texts("labels")) if "labels" in params else set(labels)
    return tuple(sorted((kept | set(params.texts("add_labels"))) - set(params.texts("remove_labels"))))


def _difference(issue: Issue, changes: Mapping[str, object]) -> dict[str, object]:
    shown = {name: value for name, value in changes.items() if name not in ("state", "closed_by_id")}
    return {name: {"previous": getattr(issue, name), "current": value} for name, value in shown.items()}


def _announce(call: Call, access: ProjectAccess, issue: Issue, action: str, changes: Mapping[str, object]) -> None:
    happening = Happening(access.project, call.user, call.base_url)
    switch = "confidential_issues_events" if issue.confidential else "issues_events"
    event = "Confidential Issue Hook" if issue.confidential else "Issue Hook"
    with call.services.database.reading() as connection:
        announce(
            connection,
            call.services,
            happening,
            switch=switch,
            event=event,
            body=lambda: issue_body(connection, access.repository, happening, issue, action=action, changes=changes),
        )


def _detail(call: Call, issue: Issue, project: Project) -> Json:
    with call.services.database.reading() as connection:
        return issue_detail(connection, issue, project, call.base_url)


def _project_of(call: Call, issue: Issue) -> Project:
    access = find_project(call.services, str(issue.project_id), call.identity.user if call.identity else None)
    if access is None:
        raise not_found("Project")
    return access.project

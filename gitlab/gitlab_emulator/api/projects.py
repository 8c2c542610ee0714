"""Projects."""

import re
import sqlite3

from gitlab_emulator.call import Call, ProjectAccess
from gitlab_emulator.commit_changes import Action, ChangeRequest, commit_changes
from gitlab_emulator.errors import forbidden, invalid, not_found, with_error
from gitlab_emulator.pagination import (
    keyset_headers,
    list_reply,
    page_of,
    page_size,
    refuse_far_offset,
    requested_page,
    wants_keyset,
)
from gitlab_emulator.present import Json
from gitlab_emulator.present.projects import project_json
from gitlab_emulator.replies import Reply, created, json_reply
from gitlab_emulator.routes import ApiRouter
from gitlab_emulator.store.projects import (
    add_project,
    all_projects,
    effective_members,
    inherited_role,
    move_project,
    project_by_id,
    project_by_path,
    role_in_project,
)
from gitlab_emulator.store.records import Namespace, Project, Role, User, update
from gitlab_emulator.store.users import namespace_by_id, namespace_of_user, user_by_id
from gitlab_emulator.times import timestamp

router = ApiRouter()
_VISIBILITIES = ("private", "internal", "public")
_PATH = re.compile(r"^[A-Za-z0-9_.-]+$")
_BAD_PATH = "can contain only letters, digits, '_', '-' and '.'. Cannot start with '-', end in '.git' or end in '.atom'"
_CHANGEABLE = (
    "name",
    "path",
    "description",
    "visibility",
    "default_branch",
    "remove_source_branch_after_merge",
    "issue_branch_template",
)


@router.get("/projects")
def list_projects(call: Call) -> Reply:
    """`GET /projects`: `search`, `owned`, `membership`, `visibility`; newest first, or by keyset over `id`."""
    found = [one for one in _visible(call) if _wanted(call, one)]
    if wants_keyset(call):
        return _keyset_page(call, found)
    refuse_far_offset(requested_page(call))
    found.sort(key=lambda one: one.id, reverse=call.params.choice("sort", ("asc", "desc"), "desc") == "desc")
    page, headers = page_of(call, found)
    return list_reply([_json(call, one) for one in page], headers)


@router.get("/projects/:id")
def get_project(call: Call) -> Reply:
    """`GET /projects/:id`."""
    return json_reply(_json(call, call.project().project))


@router.post("/projects")
def create_project(call: Call) -> Reply:
    """`POST /projects`, for oneself or in a namespace where one may."""
    return _create(call, call.user)


@router.post("/projects/user/:user_id")
def create_project_for(call: Call) -> Reply:
    """`POST /projects/user/:user_id`, by an administrator."""
    admin = call.admin
    with call.services.database.reading() as connection:
        if user_by_id(connection, call.number("user_id")) is None:
            raise not_found("User")
        owner = namespace_of_user(connection, call.number("user_id"))
    return _create(call, admin, owner)


@router.put("/projects/:id")
def update_project(call: Call) -> Reply:
    """`PUT /projects/:id`."""
    access = call.project(Role.MAINTAINER)
    call.params.require_any(*_CHANGEABLE)
    project, params = access.project, call.params
    branch = params.optional_text("default_branch")
    if branch is not None and branch != access.repository.default_branch():
        if access.repository.head(branch) is None:
            raise invalid(base="Could not set the default branch")
        access.repository.set_default_branch(branch)
    with call.services.database.writing() as connection:
        path = params.text("path", project.path)
        if path != project.path:
            full_path = f"{project.full_path.rpartition('/')[0]}/{path}"
            _check_path(connection, path, full_path)
            move_project(connection, project, full_path)
        update(
            connection,
            "projects",
            project.id,
            name=params.text("name", project.name),
            path=path,
            description=params.optional_text("description") if "description" in params else project.description,
            visibility=params.choice("visibility", _VISIBILITIES, project.visibility),
            remove_source_branch_after_merge=params.boolean(
                "remove_source_branch_after_merge", default=project.remove_source_branch_after_merge
            ),
            issue_branch_template=params.optional_text("issue_branch_template") or project.issue_branch_template,
        )
    return json_reply(_json(call, _reloaded(call, access)))


@router.delete("/projects/:id")
def delete_project(call: Call) -> Reply:
    """`DELETE /projects/:id`: marks the project; what is marked stays readable for days."""
    access = call.project(Role.OWNER)
    with call.services.database.writing() as connection:
        update(connection, "projects", access.project.id, marked_for_deletion_on=timestamp()[:10])
    return json_reply({"message": "202 Accepted"}, 202)


def _create(call: Call, creator: User, namespace: Namespace | None = None) -> Reply:
    params = call.params
    if not params.optional_text("name") and not params.optional_text("path"):
        raise with_error("name, path are missing, at least one parameter must be provided")
    name = params.text("name") or params.text("path")
    path = params.text("path") or re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.").lower()
    default_branch = params.text("default_branch", "main")
    with call.services.database.writing() as connection:
        namespace = namespace or _namespace(connection, call, creator)
        _check_path(connection, path, f"{namespace.full_path}/{path}")
        project = add_project(
            connection,
            namespace=namespace,
            name=name,
            path=path,
            description=params.optional_text("description"),
            visibility=params.choice("visibility", _VISIBILITIES, "private"),
            remove_source_branch_after_merge=params.boolean("remove_source_branch_after_merge", default=True),
            creator=creator,
        )
        # Before the commit of the row: a row without a repository would be worse than the reverse.
        repository = call.services.repositories.create(project.id, default_branch)
    if params.boolean("initialize_with_readme"):
        readme = Action("create", "README.md", content=f"# {name}\n".encode())
        commit_changes(
            call.services,
            ProjectAccess(project, Role.OWNER, repository),
            creator,
            call.base_url,
            ChangeRequest(branch=default_branch, message="Initial commit", actions=(readme,)),
        )
    return created(_json(call, project))


def _check_path(connection: sqlite3.Connection, path: str, full_path: str) -> None:
    if not _PATH.match(path) or path.startswith("-") or path.endswith((".git", ".atom", ".")):
        raise invalid(path=_BAD_PATH)
    if project_by_path(connection, full_path) is not None:
        taken = "has already been taken"
        raise invalid(name=taken, path=taken, **{"project_namespace.name": taken})


def _namespace(connection: sqlite3.Connection, call: Call, creator: User) -> Namespace:
    wanted = call.params.integer("namespace_id")
    if wanted is None:
        return namespace_of_user(connection, creator.id)
    found = namespace_by_id(connection, wanted)
    if found is None:
        raise invalid(namespace="is not valid")
    own = found.owner_id == creator.id or inherited_role(connection, found.id, creator.id) >= Role.DEVELOPER
    if not own and not creator.is_admin:
        raise forbidden()
    return found


def _visible(call: Call) -> list[Project]:
    user = call.identity.user if call.identity else None
    with call.services.database.reading() as connection:
        return [
            one
            for one in all_projects(connection)
            if one.visibility == "public"
            or (user is not None and (one.visibility == "internal" or role_in_project(connection, one, user)))
        ]


def _wanted(call: Call, project: Project) -> bool:
    params = call.params
    search = params.text("search").lower()
    if search and search not in f"{project.name}\n{project.path}".lower():
        return False
    if params.optional_text("visibility") not in (None, project.visibility):
        return False
    if not (params.boolean("membership") or params.boolean("owned")):
        return True
    with call.services.database.reading() as connection:
        members = {one.user_id: one.access_level for one in effective_members(connection, project)}
    level = members.get(call.user.id, 0)
    return level >= (Role.OWNER if params.boolean("owned") else Role.GUEST)


def _keyset_page(call: Call, found: list[Project]) -> Reply:
    if call.params.choice("order_by", ("id",), "id") != "id":
        raise with_error("order_by does not have a valid value")
    descending = call.params.choice("sort", ("asc", "desc"), "desc") == "desc"
    after, before = call.params.integer("id_after"), call.params.integer("id_before")
    rest = [
        one
        for one in sorted(found, key=lambda one: one.id, reverse=descending)
        if (after is None or one.id > after) and (before is None or one.id < before)
    ]
    size = page_size(call)
    page = rest[:size]
    following = {"id_before" if descending else "id_after": str(page[-1].id)} if len(rest) > size else {}
    return list_reply([_json(call, one) for one in page], keyset_headers(call, **following))


def _json(call: Call, project: Project) -> Json:
    with call.services.database.reading() as connection:
        repository = call.services.repositories.open(project.id)
        return project_json(connection, project, repository, call.base_url, call.identity)


def _reloaded(call: Call, access: ProjectAccess) -> Project:
    with call.services.database.reading() as connection:
        found = project_by_id(connection, access.project.id)
    if found is None:
        raise not_found("Project")
    return found

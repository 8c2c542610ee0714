"""Protected branches."""

from collections.abc import Mapping

from gitlab_emulator.call import Call
from gitlab_emulator.errors import not_found, with_error, with_message
from gitlab_emulator.pagination import list_reply, page_of
from gitlab_emulator.present.projects import protected_branch_json
from gitlab_emulator.replies import Reply, created, json_reply, no_content
from gitlab_emulator.routes import ApiRouter
from gitlab_emulator.store.projects import protection_named, protections
from gitlab_emulator.store.records import ProtectedBranch, Role, insert, update

router = ApiRouter()
_LEVELS = (0, 30, 40, 60)


@router.get("/projects/:id/protected_branches")
def list_protected(call: Call) -> Reply:
    """All protections of a project."""
    project = call.project(Role.DEVELOPER).project
    search = call.params.text("search")
    with call.services.database.reading() as connection:
        found = [one for one in protections(connection, project.id) if search in one.name]
    page, headers = page_of(call, found)
    return list_reply([protected_branch_json(one) for one in page], headers)


@router.get("/projects/:id/protected_branches/:name")
def get_protected(call: Call) -> Reply:
    """One protection, by its exact name or pattern."""
    call.project(Role.DEVELOPER)
    return json_reply(protected_branch_json(_existing(call)))


@router.post("/projects/:id/protected_branches")
def protect(call: Call) -> Reply:
    """Protect a branch or a pattern; maintainers push and merge unless said otherwise."""
    project = call.project(Role.MAINTAINER).project
    call.params.require("name", blank=False)
    name = call.params.text("name")
    with call.services.database.writing() as connection:
        if protection_named(connection, project.id, name) is not None:
            raise with_message(409, f"Protected branch '{name}' already exists")
        insert(
            connection,
            "protected_branches",
            project_id=project.id,
            name=name,
            push_level=_level(call, "push_access_level", "allowed_to_push", 40),
            merge_level=_level(call, "merge_access_level", "allowed_to_merge", 40),
            allow_force_push=call.params.boolean("allow_force_push"),
        )
        protection = protection_named(connection, project.id, name)
    assert protection is not None
    return created(protected_branch_json(protection))


@router.add("PATCH", "/projects/:id/protected_branches/:name")
def change_protected(call: Call) -> Reply:
    """Change a protection."""
    call.project(Role.MAINTAINER)
    known = _existing(call)
    with call.services.database.writing() as connection:
        update(
            connection,
            "protected_branches",
            known.id,
            push_level=_level(call, "push_access_level", "allowed_to_push", known.push_level),
            merge_level=_level(call, "merge_access_level", "allowed_to_merge", known.merge_level),
            allow_force_push=call.params.boolean("allow_force_push", default=known.allow_force_push),
        )
    return json_reply(protected_branch_json(_existing(call)))


@router.delete("/projects/:id/protected_branches/:name")
def unprotect(call: Call) -> Reply:
    """Take a protection away."""
    call.project(Role.MAINTAINER)
    known = _existing(call)
    with call.services.database.writing() as connection:
        connection.execute("DELETE FROM protected_branches WHERE id = ?", (known.id,))
    return no_content()


def _existing(call: Call) -> ProtectedBranch:
    project = call.project().project
    with call.services.database.reading() as connection:
        found = protection_named(connection, project.id, call.path["name"])
    if found is None:
        raise not_found()
    return found


def _level(call: Call, name: str, list_name: str, default: int) -> int:
    """A single level, or the first one of the newer list form."""
    level = call.params.integer(name)
    entries = call.params.raw(list_name)
    if level is None and isinstance(entries, list) and entries and isinstance(entries[0], Mapping):
        given = entries[0].get("access_level")
        level = int(given) if isinstance(given, int | str) else None
    if level is None:
        return default
    if level not in _LEVELS:
        raise with_error(f"{name} does not have a valid value")
    return level

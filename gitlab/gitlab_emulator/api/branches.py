"""Branches."""

import re

from gitlab_emulator.call import Call, ProjectAccess, check_unmodified_since
from gitlab_emulator.commit_changes import Action, ChangeRequest, commit_changes
from gitlab_emulator.errors import forbidden, not_found, refused
from gitlab_emulator.events import Happening
from gitlab_emulator.git.history import is_valid_branch_name
from gitlab_emulator.git.objects import NULL_ID
from gitlab_emulator.git.repository import HEADS, RefChange, RefMovedError
from gitlab_emulator.pagination import (
    keyset_headers,
    list_reply,
    page_of,
    page_size,
    requested_page,
    uncounted_headers,
    wants_keyset,
)
from gitlab_emulator.present import Json
from gitlab_emulator.present.commits import branch_json
from gitlab_emulator.present.projects import project_url
from gitlab_emulator.push import NO_HEX_NAME, after_push, may_push_to, refusal
from gitlab_emulator.replies import Reply, created, json_reply, no_content
from gitlab_emulator.routes import CODE_SCOPES, ApiRouter
from gitlab_emulator.store.projects import protection_of
from gitlab_emulator.store.records import Role
from gitlab_emulator.times import timestamp

router = ApiRouter()
_FORBIDDEN_IN_NAMES = re.compile(r"[\s~^:?*\[\\\x00-\x1f\x7f]")
_HEX_NAME = re.compile(r"^[0-9a-f]{40}$")


@router.get("/projects/:id/repository/branches", scopes=CODE_SCOPES)
def list_branches(call: Call) -> Reply:
    """All branches, as of up to the set lag ago."""
    access = call.code()
    params = call.params
    user_id = call.identity.user.id if call.identity else 0
    filters = tuple(params.text(name) for name in ("search", "regex", "sort"))
    found = call.services.lag.cached((access.project.id, user_id, filters), lambda: _found(call, access))
    if wants_keyset(call):
        return _keyset_page(call, access, found)
    page, headers = page_of(call, found)
    wanted = requested_page(call)
    quirk = call.services.lag.settings.pretend_next_branch_page
    if quirk and "page" not in params and len(page) == wanted.size:
        headers = uncounted_headers(call, wanted, more=True)
    return list_reply([_json(call, access, name, commit) for name, commit in page], headers)


@router.get("/projects/:id/repository/branches/:branch", scopes=CODE_SCOPES)
def get_branch(call: Call) -> Reply:
    """One branch, never cached; HEAD answers 204."""
    access = call.code()
    name = call.path["branch"]
    if _FORBIDDEN_IN_NAMES.search(name) or ".." in name or name.startswith("-"):
        raise refused("The branch refname is invalid")
    commit = access.repository.head(name)
    if commit is None:
        raise not_found("Branch")
    if call.method == "HEAD":
        return no_content()
    return json_reply(_json(call, access, name, commit))


@router.post("/projects/:id/repository/branches")
def create_branch(call: Call) -> Reply:
    """A branch at a ref; in an empty repository the default branch is begun first."""
    access = call.project(Role.DEVELOPER)
    call.params.require("branch", "ref")
    call.params.require("ref", blank=False)
    name, ref, repository = call.params.text("branch"), call.params.text("ref"), access.repository
    if _HEX_NAME.match(name):
        raise refused(NO_HEX_NAME)
    if not is_valid_branch_name(name):
        raise refused("Branch name is invalid")
    if repository.is_empty():
        _begin(call, access)
    with repository.writing:
        if repository.head(name) is not None:
            raise refused("Branch already exists")
        commit = repository.resolve(ref)
        if commit is None:
            raise refused(f"Failed to create branch '{name}': invalid reference name '{ref}'")
        change = RefChange(NULL_ID, commit, HEADS + name)
        _guard(call, access, change)
        try:
            repository.move(change)
        except RefMovedError as failure:
            raise refused(f"Failed to create branch '{name}': {failure}") from None
    after_push(call.services, Happening(access.project, call.user, call.base_url), repository, [change])
    return created(_json(call, access, name, commit))


@router.delete("/projects/:id/repository/branches/:branch")
def delete_branch(call: Call) -> Reply:
    """Delete a branch that is neither default nor protected against it."""
    access = call.project(Role.DEVELOPER)
    name, repository = call.path["branch"], access.repository
    with repository.writing:
        commit = repository.head(name)
        if commit is None:
            raise not_found("Branch")
        check_unmodified_since(call, timestamp(repository.commit(commit).committer.at))
        change = RefChange(commit, NULL_ID, HEADS + name)
        _guard(call, access, change)
        try:
            repository.move(change)
        except RefMovedError:
            raise refused("Failed to remove branch") from None
    after_push(call.services, Happening(access.project, call.user, call.base_url), repository, [change])
    return no_content()


def _guard(call: Call, access: ProjectAccess, change: RefChange) -> None:
    with call.services.database.reading() as connection:
        text = refusal(connection, access, change, web=True)
    if text:
        raise forbidden(text) if change.new != NULL_ID else refused(text)


def _begin(call: Call, access: ProjectAccess) -> None:
    default = access.repository.default_branch()
    with call.services.database.reading() as connection:
        if not may_push_to(connection, access, default):
            raise forbidden()
    readme = Action("create", "README.md", content=b"")
    request = ChangeRequest(branch=default, message="Add README.md", actions=(readme,))
    commit_changes(call.services, access, call.user, call.base_url, request)


def _found(call: Call, access: ProjectAccess) -> list[tuple[str, str]]:
    params, repository = call.params, access.repository
    found = repository.branches()
    regex = params.optional_text("regex")
    if regex:
        try:
            wanted = re.compile(regex)
        except re.error:
            raise refused("Regex is invalid") from None
        found = [one for one in found if wanted.search(one[0])]
    search = params.text("search").lower()
    if search:
        found = [one for one in found if _matches(search, one[0].lower())]
    order = params.choice("sort", ("name_asc", "updated_asc", "updated_desc"), "name_asc")
    if order != "name_asc":
        found.sort(key=lambda one: repository.commit(one[1]).committer.at, reverse=order == "updated_desc")
    return found


def _matches(search: str, name: str) -> bool:
    if search.startswith("^") and search.endswith("$"):
        return name == search[1:-1]
    if search.startswith("^"):
        return name.startswith(search[1:])
    return name.endswith(search[:-1]) if search.endswith("$") else search in name


def _keyset_page(call: Call, access: ProjectAccess, found: list[tuple[str, str]]) -> Reply:
    token = call.params.text("page_token")
    rest = [one for one in found if one[0] > token]
    size = page_size(call)
    page = rest[:size]
    following = {"page_token": page[-1][0]} if len(page) == size else {}
    return list_reply([_json(call, access, *one) for one in page], keyset_headers(call, **following))


def _json(call: Call, access: ProjectAccess, name: str, commit: str) -> Json:
    with call.services.database.reading() as connection:
        protection = protection_of(connection, access.project.id, name)
    return branch_json(
        access.repository,
        name,
        commit,
        project_url(access.project, call.base_url),
        protection=protection,
        role=access.role,
        default=access.repository.default_branch(),
    )

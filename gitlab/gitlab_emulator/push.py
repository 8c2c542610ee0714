"""What guards and follows every change of a ref, whether it came by push or through the API."""

import re
import sqlite3
from collections.abc import Sequence
from functools import partial

from gitlab_emulator.call import ProjectAccess, Services
from gitlab_emulator.events import Happening, announce, merge_request_body, push_body
from gitlab_emulator.git.history import is_ancestor, merge_base
from gitlab_emulator.git.objects import NULL_ID
from gitlab_emulator.git.repository import TAGS, RefChange, Repository
from gitlab_emulator.merge_state import merge_state
from gitlab_emulator.present import Json
from gitlab_emulator.store.merge_requests import change_merge_request, open_merge_requests
from gitlab_emulator.store.projects import protection_of, protections, touch_project
from gitlab_emulator.store.records import MergeRequest, Project, Role, insert
from gitlab_emulator.times import timestamp

MAX_ANNOUNCED_REFS = 3
NOT_ALLOWED = "You are not allowed to push code to protected branches on this project."
NO_FORCE_PUSH = "You are not allowed to force push code to a protected branch on this project."
NO_HEX_NAME = "You cannot create a branch with a 40-character hexadecimal branch name."
NO_DEFAULT_DELETION = "The default branch of a project cannot be deleted."
_NO_CREATION = "You are not allowed to create protected branches on this project."
_NO_DELETION = (
    "You are not allowed to delete protected branches from this project. "
    "Only a project maintainer or owner can delete a protected branch."
)
_DELETE_ON_THE_WEB = "You can only delete protected branches using the web interface."
_HEX_NAME = re.compile(r"^[0-9a-f]{40}$")


def may_push_to(connection: sqlite3.Connection, access: ProjectAccess, branch: str) -> bool:
    """Whether the caller's role allows pushes to a branch at all."""
    if access.role < Role.DEVELOPER:
        return False
    protection = protection_of(connection, access.project.id, branch)
    return protection is None or access.role >= (protection.push_level or 100)


def refusal(connection: sqlite3.Connection, access: ProjectAccess, change: RefChange, *, web: bool) -> str | None:
    """GitLab's text against a change of a ref, None when it is allowed. A force push is judged by `must_not_force`."""
    branch = change.branch
    if branch is None:
        return None
    protection = protection_of(connection, access.project.id, branch)
    if change.new == NULL_ID:
        if branch == access.repository.default_branch():
            return NO_DEFAULT_DELETION
        if protection is None:
            return None
        if access.role < Role.MAINTAINER:
            return _NO_DELETION
        return None if web else _DELETE_ON_THE_WEB
    if change.old == NULL_ID and _HEX_NAME.match(branch):
        return NO_HEX_NAME
    if protection is None or access.role >= (protection.push_level or 100):
        return None
    return _NO_CREATION if change.old == NULL_ID else NOT_ALLOWED


def must_not_force(connection: sqlite3.Connection, access: ProjectAccess, change: RefChange) -> bool:
    """Whether this update is allowed as a fast-forward only."""
    if change.branch is None or NULL_ID in (change.old, change.new):
        return False
    protection = protection_of(connection, access.project.id, change.branch)
    return protection is not None and not protection.allow_force_push


def after_push(services: Services, happening: Happening, repository: Repository, changes: Sequence[RefChange]) -> None:
    """Bring metadata in line with refs that moved, and queue the webhooks, in one transaction."""
    if not changes:
        return
    with services.database.writing() as connection:
        touch_project(connection, happening.project.id)
        _settle_default_branch(connection, repository, happening.project, changes)
        branches = [change for change in changes if change.branch is not None]
        tags = [change for change in changes if change.ref.startswith(TAGS)]
        for some, switch, event in (
            (branches, "push_events", "Push Hook"),
            (tags, "tag_push_events", "Tag Push Hook"),
        ):
            # One push of more refs than this fires no hook at all.
            if len(some) <= MAX_ANNOUNCED_REFS:
                for change in some:
                    announce(
                        connection,
                        services,
                        happening,
                        switch=switch,
                        event=event,
                        body=partial(push_body, connection, repository, happening, change),
                        ref=change.ref,
                    )
        for change in branches:
            _follow_branch(connection, services, happening, repository, change)
    services.deliveries.wake()


def announce_merge_request(
    connection: sqlite3.Connection,
    services: Services,
    happening: Happening,
    repository: Repository,
    merge_request: MergeRequest,
    action: str,
    *,
    changes: dict[str, object] | None = None,
    old_head: str | None = None,
) -> None:
    """Queue the hook of something that happened to a merge request."""

    def body() -> Json:
        return merge_request_body(
            connection,
            repository,
            happening,
            merge_request,
            merge_state(repository, merge_request, services.lag.settings.merge_status_s),
            action=action,
            changes=changes or {},
            old_head=old_head,
        )

    announce(connection, services, happening, switch="merge_requests_events", event="Merge Request Hook", body=body)


def protect_default_branch(connection: sqlite3.Connection, project_id: int, branch: str) -> None:
    """GitLab protects the default branch of a new repository: maintainers push and merge."""
    if not protections(connection, project_id):
        insert(
            connection,
            "protected_branches",
            project_id=project_id,
            name=branch,
            push_level=Role.MAINTAINER.value,
            merge_level=Role.MAINTAINER.value,
        )


def _settle_default_branch(
    connection: sqlite3.Connection, repository: Repository, project: Project, changes: Sequence[RefChange]
) -> None:
    """The first branch of an empty repository becomes its default branch."""
    made = [change.branch for change in changes if change.branch and change.old == NULL_ID != change.new]
    if not made or len(repository.branches()) > len(made):
        return
    default = repository.default_branch()
    if default not in made:
        default = made[0]
        repository.set_default_branch(default)
    protect_default_branch(connection, project.id, default)


def _follow_branch(
    connection: sqlite3.Connection,
    services: Services,
    happening: Happening,
    repository: Repository,
    change: RefChange,
) -> None:
    assert change.branch is not None
    for merge_request in open_merge_requests(connection, happening.project.id, branch=change.branch):
        if merge_request.target_branch == change.branch:
            _settle_merged(connection, services, happening, repository, merge_request, change)
        elif change.new == NULL_ID:
            now = timestamp()
            closed = change_merge_request(
                connection, merge_request, state="closed", closed_at=now, closed_by_id=happening.user.id
            )
            announce_merge_request(connection, services, happening, repository, closed, "close")
        else:
            target = repository.head(merge_request.target_branch)
            base = merge_base(repository, change.new, target) if target else None
            moved = change_merge_request(connection, merge_request, head_sha=change.new, base_sha=base)
            announce_merge_request(connection, services, happening, repository, moved, "update", old_head=change.old)


def _settle_merged(
    connection: sqlite3.Connection,
    services: Services,
    happening: Happening,
    repository: Repository,
    merge_request: MergeRequest,
    change: RefChange,
) -> None:
    """A merge request whose head reached its target by a push is merged."""
    head = merge_request.head_sha
    if head is None or NULL_ID in (change.old, change.new):
        return
    if is_ancestor(repository, head, change.new) and not is_ancestor(repository, head, change.old):
        merged = change_merge_request(
            connection, merge_request, state="merged", merged_at=timestamp(), merged_by_id=happening.user.id
        )
        announce_merge_request(connection, services, happening, repository, merged, "merge")

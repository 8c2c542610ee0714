"""After `kill -9`: bring metadata in line with the refs, which are the truth.

A process may end between moving a ref and recording what follows from it. Webhooks of such a change are lost, as
they sometimes are on a real server; its merge requests and default branch are settled here, before anybody asks.
"""

from datetime import UTC, datetime, timedelta

from gitlab_emulator.call import Services
from gitlab_emulator.git.history import is_ancestor, merge_base
from gitlab_emulator.git.repository import Repository
from gitlab_emulator.push import protect_default_branch
from gitlab_emulator.store.hooks import forget_old_deliveries
from gitlab_emulator.store.issues import Where
from gitlab_emulator.store.merge_requests import change_merge_request, find_merge_requests, locked_merge_requests
from gitlab_emulator.store.projects import all_projects
from gitlab_emulator.store.records import MergeRequest
from gitlab_emulator.times import timestamp

_PAGE = 500
_HISTORY = timedelta(days=7)
"""How long GitLab keeps what it sent to a hook."""


def reconcile(services: Services) -> None:
    """Settle everything that an earlier process left half done."""
    _settle_interrupted_merges(services)
    with services.database.writing() as connection:
        forget_old_deliveries(connection, timestamp(datetime.now(UTC) - _HISTORY))
    with services.database.reading() as connection:
        projects = all_projects(connection)
    for project in projects:
        repository = services.repositories.open(project.id)
        repository.remove_stale_locks()
        _settle_default_branch(services, project.id, repository)
    for merge_request in _open_merge_requests(services):
        _follow_refs(services, merge_request)


def _settle_interrupted_merges(services: Services) -> None:
    """Finish or take back the merges under which the process ended: the target branch tells which."""
    with services.database.reading() as connection:
        interrupted = locked_merge_requests(connection)
    for merge_request in interrupted:
        repository = services.repositories.open(merge_request.project_id)
        target = repository.head(merge_request.target_branch)
        commit = merge_request.merge_commit_sha
        made = commit if commit and repository.info(commit) is not None else None
        done = made is not None and target is not None and is_ancestor(repository, made, target)
        with services.database.writing() as connection:
            if done:
                change_merge_request(connection, merge_request, state="merged", merged_at=timestamp())
            else:
                change_merge_request(
                    connection, merge_request, state="opened", merge_commit_sha=None, merged_by_id=None
                )


def _settle_default_branch(services: Services, project_id: int, repository: Repository) -> None:
    default = repository.default_branch()
    if repository.head(default) is not None:
        return
    branches = repository.branches()
    if branches:
        repository.set_default_branch(branches[0][0])
        with services.database.writing() as connection:
            protect_default_branch(connection, project_id, branches[0][0])


def _open_merge_requests(services: Services) -> list[MergeRequest]:
    found: list[MergeRequest] = []
    with services.database.reading() as connection:
        while True:
            where = Where().also("state = 'opened'")
            page, total = find_merge_requests(connection, where, order="id", limit=_PAGE, offset=len(found))
            found += page
            if not page or len(found) >= total:
                return found


def _follow_refs(services: Services, merge_request: MergeRequest) -> None:
    repository = services.repositories.open(merge_request.project_id)
    head, target = repository.head(merge_request.source_branch), repository.head(merge_request.target_branch)
    known = merge_request.head_sha
    changes: dict[str, object] = {}
    had_commits = known is not None and known != merge_request.base_sha
    if known and target and had_commits and is_ancestor(repository, known, target):
        changes = {"state": "merged", "merged_at": timestamp()}
    elif head is None and known is not None:
        changes = {"state": "closed", "closed_at": timestamp()}
    elif head != known:
        base = merge_base(repository, head, target) if head and target else None
        changes = {"head_sha": head, "base_sha": base}
    if changes:
        with services.database.writing() as connection:
            change_merge_request(connection, merge_request, **changes)

"""Bodies of webhooks, and queueing them for the hooks that want them."""

import json
import re
import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from gitlab_emulator.call import Services
from gitlab_emulator.git.diffs import commit_diff
from gitlab_emulator.git.history import CommitQuery, list_commits
from gitlab_emulator.git.objects import NULL_ID, Commit
from gitlab_emulator.git.repository import TAGS, RefChange, Repository
from gitlab_emulator.merge_state import MergeState, is_draft
from gitlab_emulator.present import Json
from gitlab_emulator.present.commits import commit_time
from gitlab_emulator.present.issues import issue_url, labels_json
from gitlab_emulator.present.merge_requests import merge_request_url
from gitlab_emulator.present.projects import project_url
from gitlab_emulator.store.hooks import hooks_of
from gitlab_emulator.store.projects import protection_of
from gitlab_emulator.store.records import Hook, Issue, MergeRequest, Note, Project, User
from gitlab_emulator.store.users import user_by_id
from gitlab_emulator.times import hook_time

MAX_COMMITS = 20
_VISIBILITY = {"private": 0, "internal": 10, "public": 20}


@dataclass(frozen=True)
class Happening:
    """Who did something in which project, and the address under which hooks shall see it."""

    project: Project
    user: User
    base_url: str


def push_body(connection: sqlite3.Connection, repository: Repository, happening: Happening, change: RefChange) -> Json:
    """A push of one branch or tag; at most twenty commits are listed, oldest first."""
    kind = "tag_push" if change.ref.startswith(TAGS) else "push"
    commits = _pushed_commits(repository, change) if kind == "push" else []
    user, project = happening.user, happening.project
    branch = change.branch
    gone = change.new == NULL_ID
    last = repository.resolve(change.new) if not gone else None
    return {
        "object_kind": kind,
        "event_name": kind,
        "before": change.old,
        "after": change.new,
        "ref": change.ref,
        "ref_protected": branch is not None and protection_of(connection, project.id, branch) is not None,
        "checkout_sha": last,
        "message": None,
        "user_id": user.id,
        "user_name": user.name,
        "user_username": user.username,
        "user_email": user.email,
        "user_avatar": None,
        "project_id": project.id,
        "project": _project(repository, happening),
        "commits": [_pushed_commit(repository, commit, happening) for commit in reversed(commits[:MAX_COMMITS])],
        "total_commits_count": len(commits),
        "push_options": {},
        "repository": _repository(happening),
    }


def issue_body(
    connection: sqlite3.Connection,
    repository: Repository,
    happening: Happening,
    issue: Issue,
    *,
    action: str,
    changes: Mapping[str, object],
) -> Json:
    """Something happened to an issue."""
    kind = "confidential_issue" if issue.confidential else "issue"
    return {
        "object_kind": "issue",
        "event_type": kind,
        "user": _user(happening.user),
        "project": _project(repository, happening),
        "object_attributes": {
            "id": issue.id,
            "iid": issue.iid,
            "title": issue.title,
            "description": issue.description,
            "state": issue.state,
            "action": action,
            "labels": labels_json(issue.labels, details=True),
            "assignee_ids": list(issue.assignee_ids),
            "assignee_id": issue.assignee_ids[0] if issue.assignee_ids else None,
            "author_id": issue.author_id,
            "project_id": issue.project_id,
            "confidential": issue.confidential,
            "due_date": issue.due_date,
            "created_at": hook_time(issue.created_at),
            "updated_at": hook_time(issue.updated_at),
            "closed_at": hook_time(issue.closed_at),
            "url": issue_url(happening.project, issue, happening.base_url),
            "type": "Issue",
        },
        "labels": labels_json(issue.labels, details=True),
        "assignees": _users(connection, issue.assignee_ids),
        "changes": dict(changes),
        "repository": _repository(happening),
    }


def merge_request_body(
    connection: sqlite3.Connection,
    repository: Repository,
    happening: Happening,
    merge_request: MergeRequest,
    state: MergeState,
    *,
    action: str,
    changes: Mapping[str, object],
    old_head: str | None = None,
) -> Json:
    """Something happened to a merge request; `oldrev` is there only when its code changed."""
    project = _project(repository, happening)
    last = repository.commit(state.head) if state.head else None
    attributes: Json = {
        "id": merge_request.id,
        "iid": merge_request.iid,
        "title": merge_request.title,
        "description": merge_request.description,
        "state": merge_request.state,
        "action": action,
        "source_branch": merge_request.source_branch,
        "target_branch": merge_request.target_branch,
        "source_project_id": merge_request.project_id,
        "target_project_id": merge_request.project_id,
        "author_id": merge_request.author_id,
        "assignee_ids": list(merge_request.assignee_ids),
        "reviewer_ids": list(merge_request.reviewer_ids),
        "labels": labels_json(merge_request.labels, details=True),
        "last_commit": _commit(last, happening) if last else None,
        "merge_status": state.merge_status,
        "detailed_merge_status": state.detailed_status,
        "merge_commit_sha": merge_request.merge_commit_sha,
        "draft": is_draft(merge_request.title),
        "work_in_progress": is_draft(merge_request.title),
        "created_at": hook_time(merge_request.created_at),
        "updated_at": hook_time(merge_request.updated_at),
        "url": merge_request_url(happening.project, merge_request, happening.base_url),
        "system": old_head is not None,
        "source": project,
        "target": project,
    }
    return {
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": _user(happening.user),
        "project": project,
        "object_attributes": attributes | ({"oldrev": old_head} if old_head else {}),
        "labels": labels_json(merge_request.labels, details=True),
        "changes": dict(changes),
        "assignees": _users(connection, merge_request.assignee_ids),
        "reviewers": _users(connection, merge_request.reviewer_ids),
        "repository": _repository(happening),
    }


def note_body(repository: Repository, happening: Happening, note: Note, subject: Issue | MergeRequest) -> Json:
    """Somebody commented on an issue or merge request."""
    place = (
        issue_url(happening.project, subject, happening.base_url)
        if isinstance(subject, Issue)
        else merge_request_url(happening.project, subject, happening.base_url)
    )
    return {
        "object_kind": "note",
        "event_type": "confidential_note" if note.internal else "note",
        "user": _user(happening.user),
        "project_id": happening.project.id,
        "project": _project(repository, happening),
        "object_attributes": {
            "id": note.id,
            "note": note.body,
            "noteable_type": note.noteable_kind,
            "noteable_id": note.noteable_id,
            "author_id": note.author_id,
            "project_id": note.project_id,
            "action": "create",
            "internal": note.internal,
            "system": False,
            "created_at": hook_time(note.created_at),
            "updated_at": hook_time(note.updated_at),
            "url": f"{place}#note_{note.id}",
        },
        "issue" if isinstance(subject, Issue) else "merge_request": {
            "id": subject.id,
            "iid": subject.iid,
            "title": subject.title,
            "state": subject.state,
        },
        "repository": _repository(happening),
    }


def announce(
    connection: sqlite3.Connection,
    services: Services,
    happening: Happening,
    *,
    switch: str,
    event: str,
    body: Callable[[], Json],
    ref: str = "",
) -> None:
    """Queue a body for every hook of the project whose `switch` is on; part of the caller's transaction.

    The body costs git processes, so it is built only when somebody wants it.
    """
    hooks = [hook for hook in hooks_of(connection, happening.project.id) if switch in hook.events]
    if switch == "push_events":
        hooks = [hook for hook in hooks if _branch_wanted(hook, ref)]
    if not hooks:
        return
    event_uuid, text = str(uuid.uuid4()), json.dumps(body())
    for hook in hooks:
        services.deliveries.enqueue(
            connection, hook, event=event, event_uuid=event_uuid, body=text, instance=happening.base_url
        )


def _branch_wanted(hook: Hook, ref: str) -> bool:
    branch = ref.removeprefix("refs/heads/")
    pattern = hook.push_events_branch_filter
    if not pattern or hook.branch_filter_strategy == "all_branches":
        return True
    if hook.branch_filter_strategy == "regex":
        return re.search(pattern, branch) is not None
    return fnmatchcase(branch, pattern)


def _pushed_commits(repository: Repository, change: RefChange) -> Sequence[Commit]:
    """Newest first. Of a new branch only what the default branch lacks, as GitLab counts them."""
    if change.new == NULL_ID:
        return []
    if change.old != NULL_ID:
        return list_commits(repository, CommitQuery((change.new, f"^{change.old}")))
    default = repository.default_branch()
    known = repository.head(default) if change.branch != default else None
    return list_commits(repository, CommitQuery((change.new, *([f"^{known}"] if known else []))))


def _pushed_commit(repository: Repository, commit: Commit, happening: Happening) -> Json:
    changes = commit_diff(repository, commit)
    return _commit(commit, happening) | {
        "added": [change.new_path for change in changes if change.status == "A"],
        "modified": [change.new_path for change in changes if change.status not in "AD"],
        "removed": [change.old_path for change in changes if change.status == "D"],
    }


def _commit(commit: Commit, happening: Happening) -> Json:
    return {
        "id": commit.id,
        "message": commit.message,
        "title": commit.title,
        "timestamp": commit_time(commit.committer.at).replace(".000", ""),
        "url": f"{project_url(happening.project, happening.base_url)}/-/commit/{commit.id}",
        "author": {"name": commit.author.name, "email": commit.author.email},
    }


def _project(repository: Repository, happening: Happening) -> Json:
    project = happening.project
    web_url = project_url(project, happening.base_url)
    ssh_url = f"git@{urlsplit(happening.base_url).hostname}:{project.full_path}.git"
    return {
        "id": project.id,
        "name": project.name,
        "description": project.description,
        "web_url": web_url,
        "avatar_url": None,
        "git_ssh_url": ssh_url,
        "git_http_url": f"{web_url}.git",
        "namespace": project.full_path.rpartition("/")[0],
        "visibility_level": _VISIBILITY[project.visibility],
        "path_with_namespace": project.full_path,
        "default_branch": repository.default_branch(),
        "ci_config_path": None,
        "homepage": web_url,
        "url": ssh_url,
        "ssh_url": ssh_url,
        "http_url": f"{web_url}.git",
    }


def _repository(happening: Happening) -> Json:
    web_url = project_url(happening.project, happening.base_url)
    return {
        "name": happening.project.name,
        "url": f"{web_url}.git",
        "description": happening.project.description,
        "homepage": web_url,
        "git_http_url": f"{web_url}.git",
        "visibility_level": _VISIBILITY[happening.project.visibility],
    }


def _user(user: User) -> Json:
    return {"id": user.id, "name": user.name, "username": user.username, "avatar_url": None, "email": user.email}


def _users(connection: sqlite3.Connection, user_ids: Sequence[int]) -> list[Json]:
    return [_user(user) for user_id in user_ids if (user := user_by_id(connection, user_id))]

"""Merge requests."""

import sqlite3

from gitlab_emulator.git.diffs import diff_trees
from gitlab_emulator.git.repository import Repository
from gitlab_emulator.merge_state import MergeState, is_draft
from gitlab_emulator.present import Json
from gitlab_emulator.present.issues import TIME_STATS, labels_json, references, task_completion
from gitlab_emulator.present.people import people, someone
from gitlab_emulator.present.projects import project_url
from gitlab_emulator.store.issues import note_count
from gitlab_emulator.store.records import MergeRequest, Project


def merge_request_url(project: Project, merge_request: MergeRequest, base_url: str) -> str:
    """The address of a merge request in a browser."""
    return f"{project_url(project, base_url)}/-/merge_requests/{merge_request.iid}"


def merge_request_json(
    connection: sqlite3.Connection, merge_request: MergeRequest, project: Project, state: MergeState, base_url: str
) -> Json:
    """A merge request in a list."""
    assignees = people(connection, merge_request.assignee_ids, base_url)
    draft = is_draft(merge_request.title)
    merged_by = someone(connection, merge_request.merged_by_id, base_url)
    return {
        "id": merge_request.id,
        "iid": merge_request.iid,
        "project_id": merge_request.project_id,
        "title": merge_request.title,
        "description": merge_request.description,
        "state": merge_request.state,
        "imported": False,
        "imported_from": "none",
        "created_at": merge_request.created_at,
        "updated_at": merge_request.updated_at,
        "merged_by": merged_by,
        "merge_user": merged_by,
        "merged_at": merge_request.merged_at,
        "merge_after": None,
        "prepared_at": None if state.detailed_status == "preparing" else merge_request.created_at,
        "closed_by": someone(connection, merge_request.closed_by_id, base_url),
        "closed_at": merge_request.closed_at,
        "target_branch": merge_request.target_branch,
        "source_branch": merge_request.source_branch,
        "user_notes_count": note_count(connection, merge_request),
        "upvotes": 0,
        "downvotes": 0,
        "author": someone(connection, merge_request.author_id, base_url),
        "assignees": assignees,
        "assignee": assignees[0] if assignees else None,
        "reviewers": people(connection, merge_request.reviewer_ids, base_url),
        "source_project_id": merge_request.project_id,
        "target_project_id": merge_request.project_id,
        "labels": labels_json(merge_request.labels, details=False),
        "draft": draft,
        "work_in_progress": draft,
        "milestone": None,
        "merge_when_pipeline_succeeds": False,
        "merge_status": state.merge_status,
        "detailed_merge_status": state.detailed_status,
        "sha": state.head,
        "merge_commit_sha": merge_request.merge_commit_sha,
        "squash_commit_sha": merge_request.squash_commit_sha,
        "discussion_locked": None,
        "should_remove_source_branch": None,
        "force_remove_source_branch": merge_request.remove_source_branch,
        "reference": f"!{merge_request.iid}",
        "references": references(project, "!", merge_request.iid),
        "web_url": merge_request_url(project, merge_request, base_url),
        "time_stats": dict(TIME_STATS),
        "squash": merge_request.squash,
        "squash_on_merge": merge_request.squash,
        "task_completion_status": task_completion(merge_request.description),
        "has_conflicts": state.detailed_status == "conflict",
        "blocking_discussions_resolved": True,
    }


def merge_request_detail(
    connection: sqlite3.Connection,
    merge_request: MergeRequest,
    project: Project,
    state: MergeState,
    base_url: str,
    *,
    repository: Repository,
    can_merge: bool,
) -> Json:
    """A merge request at its own address; what a background job makes is null while it is `preparing`."""
    refs: Json | None = None
    changes: str | None = None
    if state.base and state.head and state.detailed_status != "preparing":
        refs = {"base_sha": state.base, "head_sha": state.head, "start_sha": state.base}
        number = len(diff_trees(repository, state.base, state.head))
        changes = str(number) if number <= 1000 else "1000+"
    return merge_request_json(connection, merge_request, project, state, base_url) | {
        "subscribed": False,
        "changes_count": changes,
        "latest_build_started_at": None,
        "latest_build_finished_at": None,
        "first_deployed_to_production_at": None,
        "pipeline": None,
        "head_pipeline": None,
        "diff_refs": refs,
        "merge_error": None,
        "user": {"can_merge": can_merge},
    }

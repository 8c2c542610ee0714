"""Issues and notes."""

import sqlite3

from gitlab_emulator.present import Json
from gitlab_emulator.present.people import people, someone
from gitlab_emulator.present.projects import project_url
from gitlab_emulator.store.issues import note_count
from gitlab_emulator.store.records import Issue, MergeRequest, Note, Project

TIME_STATS = {"time_estimate": 0, "total_time_spent": 0, "human_time_estimate": None, "human_total_time_spent": None}


def issue_url(project: Project, issue: Issue, base_url: str) -> str:
    """The address of an issue in a browser."""
    return f"{project_url(project, base_url)}/-/issues/{issue.iid}"


def labels_json(labels: tuple[str, ...], *, details: bool) -> list[object]:
    """Titles by name, or objects."""
    ordered = sorted(labels, key=str.lower)
    if not details:
        return list(ordered)
    return [{"name": name, "color": "#6699cc", "description": None, "text_color": "#FFFFFF"} for name in ordered]


def task_completion(description: str | None) -> Json:
    """Check boxes of a description."""
    lines = [line.strip().lower() for line in (description or "").splitlines()]
    done = sum(line.startswith(("- [x]", "* [x]")) for line in lines)
    return {"count": done + sum(line.startswith(("- [ ]", "* [ ]")) for line in lines), "completed_count": done}


def issue_json(
    connection: sqlite3.Connection, issue: Issue, project: Project, base_url: str, *, label_details: bool = False
) -> Json:
    """An issue in a list."""
    assignees = people(connection, issue.assignee_ids, base_url)
    web_url = issue_url(project, issue, base_url)
    tasks = task_completion(issue.description)
    return {
        "id": issue.id,
        "iid": issue.iid,
        "project_id": issue.project_id,
        "title": issue.title,
        "description": issue.description,
        "state": issue.state,
        "created_at": issue.created_at,
        "updated_at": issue.updated_at,
        "closed_at": issue.closed_at,
        "closed_by": someone(connection, issue.closed_by_id, base_url),
        "labels": labels_json(issue.labels, details=label_details),
        "milestone": None,
        "assignees": assignees,
        "author": someone(connection, issue.author_id, base_url),
        "type": issue.issue_type.upper(),
        "assignee": assignees[0] if assignees else None,
        "user_notes_count": note_count(connection, issue),
        "merge_requests_count": 0,
        "upvotes": 0,
        "downvotes": 0,
        "due_date": issue.due_date,
        "confidential": issue.confidential,
        "discussion_locked": None,
        "issue_type": issue.issue_type,
        "web_url": web_url,
        "time_stats": dict(TIME_STATS),
        "task_completion_status": tasks,
        "has_tasks": bool(tasks["count"]),
        "severity": "UNKNOWN",
        "references": references(project, "#", issue.iid),
    }


def issue_detail(connection: sqlite3.Connection, issue: Issue, project: Project, base_url: str) -> Json:
    """An issue at its own address."""
    api = f"{base_url}/api/v4/projects/{project.id}"
    return issue_json(connection, issue, project, base_url) | {
        "subscribed": False,
        "_links": {
            "self": f"{api}/issues/{issue.iid}",
            "notes": f"{api}/issues/{issue.iid}/notes",
            "award_emoji": f"{api}/issues/{issue.iid}/award_emoji",
            "project": api,
        },
    }


def references(project: Project, mark: str, iid: int) -> Json:
    """The three ways to mention a thing."""
    return {"short": f"{mark}{iid}", "relative": f"{mark}{iid}", "full": f"{project.full_path}{mark}{iid}"}


def note_json(connection: sqlite3.Connection, note: Note, base_url: str) -> Json:
    """A comment."""
    return {
        "id": note.id,
        "type": None,
        "body": note.body,
        "author": someone(connection, note.author_id, base_url),
        "created_at": note.created_at,
        "updated_at": note.updated_at,
        "system": False,
        "noteable_id": note.noteable_id,
        "noteable_type": note.noteable_kind,
        "project_id": note.project_id,
        "noteable_iid": note.noteable_iid,
        "resolvable": note.noteable_kind == MergeRequest.KIND,
        "confidential": note.internal,
        "internal": note.internal,
    }

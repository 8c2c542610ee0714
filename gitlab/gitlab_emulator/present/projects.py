"""Projects and their protected branches."""

import sqlite3
from urllib.parse import urlsplit

from gitlab_emulator.call import Identity
from gitlab_emulator.git.repository import Repository
from gitlab_emulator.present import Json
from gitlab_emulator.present.people import namespace_json
from gitlab_emulator.store.issues import open_issue_count
from gitlab_emulator.store.projects import PROJECT, inherited_role, member
from gitlab_emulator.store.records import Project, ProtectedBranch
from gitlab_emulator.store.users import ancestors

_LEVELS = {0: "No one", 30: "Developers + Maintainers", 40: "Maintainers", 50: "Owners", 60: "Administrators"}


def project_url(project: Project, base_url: str) -> str:
    """The address of a project in a browser."""
    return f"{base_url}/{project.full_path}"


def project_json(
    connection: sqlite3.Connection,
    project: Project,
    repository: Repository,
    base_url: str,
    identity: Identity | None,
) -> Json:
    """A project as its API shows it to a caller."""
    chain = ancestors(connection, project.namespace_id)
    web_url = project_url(project, base_url)
    empty = repository.is_empty()
    full_name = " / ".join([*(one.name for one in reversed(chain)), project.name])
    shown: Json = {
        "id": project.id,
        "description": project.description,
        "name": project.name,
        "name_with_namespace": full_name,
        "path": project.path,
        "path_with_namespace": project.full_path,
        "created_at": project.created_at,
        "default_branch": None if empty else repository.default_branch(),
        "tag_list": [],
        "topics": [],
        "ssh_url_to_repo": f"git@{urlsplit(base_url).hostname}:{project.full_path}.git",
        "http_url_to_repo": f"{web_url}.git",
        "web_url": web_url,
        "readme_url": None,
        "avatar_url": None,
        "forks_count": 0,
        "star_count": 0,
        "last_activity_at": project.last_activity_at,
        "namespace": namespace_json(chain[0], base_url),
        "empty_repo": empty,
        "archived": project.archived,
        "visibility": project.visibility,
        "creator_id": project.creator_id,
        "issues_enabled": True,
        "merge_requests_enabled": True,
        "jobs_enabled": True,
        "open_issues_count": open_issue_count(connection, project.id),
        "merge_method": "merge",
        "squash_option": "default_off",
        "only_allow_merge_if_pipeline_succeeds": False,
        "only_allow_merge_if_all_discussions_are_resolved": False,
        "remove_source_branch_after_merge": project.remove_source_branch_after_merge,
        "issue_branch_template": project.issue_branch_template,
        "marked_for_deletion_on": project.marked_for_deletion_on,
    }
    return shown | {"permissions": _permissions(connection, project, identity)} if identity else shown


def _permissions(connection: sqlite3.Connection, project: Project, identity: Identity) -> Json:
    direct = member(connection, PROJECT, project.id, identity.user.id)
    above = inherited_role(connection, project.namespace_id, identity.user.id)
    return {
        "project_access": {"access_level": direct.access_level, "notification_level": 3} if direct else None,
        "group_access": {"access_level": above, "notification_level": 3} if above else None,
    }


def protected_branch_json(protection: ProtectedBranch) -> Json:
    """A protection with its levels."""
    return {
        "id": protection.id,
        "name": protection.name,
        "push_access_levels": [_level(protection.id * 2 - 1, protection.push_level)],
        "merge_access_levels": [_level(protection.id * 2, protection.merge_level)],
        "allow_force_push": protection.allow_force_push,
        "code_owner_approval_required": False,
    }


def _level(level_id: int, level: int) -> Json:
    return {
        "id": level_id,
        "access_level": level,
        "access_level_description": _LEVELS.get(level, str(level)),
        "user_id": None,
        "group_id": None,
        "deploy_key_id": None,
    }

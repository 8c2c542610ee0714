"""Sets GitLab up for the demo, through its REST API as an administrator; doing it again changes nothing.

Made are a group and the sample project, the engineer whose issues they are, the service's user and the worker's, each
with a token, and the webhook that tells the API about pushes.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import gitlab
from gitlab.exceptions import GitlabAuthenticationError, GitlabError, GitlabGetError
from gitlab.v4.objects import Project, User

from app.demo.sample import SampleIssue, sample_files, sample_issues

GROUP = "power"
PROJECT = "plant-300"
PROJECT_PATH = f"{GROUP}/{PROJECT}"
ENGINEER = "irina.sokolova"
SERVICE = "orchestrator"
WORKER = "balance-worker"
_DEVELOPER, _MAINTAINER = 30, 40
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the demo's processes know of each other; kept in a file that only its owner can read."""

    admin_token: str
    webhook_secret: str
    service_token: str = ""
    worker_token: str = ""

    def __repr__(self) -> str:
        return "Secrets(…)"

    @classmethod
    def load(cls, path: Path) -> "Secrets":
        """Those of the last run, or new ones."""
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24))
        return cls(**{one.name: str(known.get(one.name, "")) for one in fields(cls)})

    def save(self, path: Path) -> None:
        """Replace the file, atomically."""
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        new.replace(path)


def seed(url: str, known: Secrets, webhook_url: str) -> Secrets:
    """Have everything there; the secrets with the tokens of service and worker in them.

    Raises GitlabError where GitLab refuses.
    """
    admin = _administrator(url, known)
    engineer = _user(admin, ENGINEER, "Irina Sokolova")
    # Administrators, so that a project which somebody adds to the demo works at once.
    service = _user(admin, SERVICE, "Balance+ Orchestrator", administrator=True)
    worker = _user(admin, WORKER, "Balance+ worker", administrator=True)
    project = _project(admin)
    for user, level in ((engineer, _DEVELOPER), (service, _MAINTAINER), (worker, _DEVELOPER)):
        _member(project, user, level)
    _files(project)
    _issues(project, engineer)
    _webhook(project, webhook_url, known.webhook_secret)
    return replace(
        known,
        service_token=_token(url, service, known.service_token, ("api",)),
        worker_token=_token(url, worker, known.worker_token, ("read_repository", "write_repository", "read_user")),
    )


def new_issue(url: str, known: Secrets) -> int:
    """One more issue like the first, for the engineer; its iid."""
    admin = _administrator(url, known)
    project = admin.projects.get(PROJECT_PATH)
    return _issue(project, _user(admin, ENGINEER, "Irina Sokolova"), sample_issues()[0])


def engineers_token(url: str, known: Secrets) -> str:
    """A new token of the engineer's, to sign in with."""
    return _token(url, _user(_administrator(url, known), ENGINEER, "Irina Sokolova"), "", ("api",))


def _administrator(url: str, known: Secrets) -> gitlab.Gitlab:
    return gitlab.Gitlab(url, private_token=known.admin_token, timeout=30, keep_base_url=True)


def _or_none(find: Callable[[], Any]) -> Any:
    try:
        return find()
    except GitlabGetError as error:
        if error.response_code != _NOT_FOUND:
            raise
        return None


def _user(admin: gitlab.Gitlab, username: str, name: str, *, administrator: bool = False) -> User:
    found = admin.users.list(username=username, get_all=False)
    for user in found:
        return user
    email = f"{username}@power.example"
    given = {"username": username, "name": name, "email": email, "public_email": email, "force_random_password": True}
    return admin.users.create({**given, "skip_confirmation": True, "admin": administrator})


def _project(admin: gitlab.Gitlab) -> Project:
    found: Project | None = _or_none(lambda: admin.projects.get(PROJECT_PATH))
    if found is not None:
        return found
    group = _or_none(lambda: admin.groups.get(GROUP)) or admin.groups.create({"name": "Power plants", "path": GROUP})
    given = {"name": "Plant 300", "path": PROJECT, "namespace_id": group.id, "visibility": "private"}
    return admin.projects.create(given)


def _member(project: Project, user: User, level: int) -> None:
    if _or_none(lambda: project.members.get(user.id)) is None:
        project.members.create({"user_id": user.id, "access_level": level})


def _files(project: Project) -> None:
    """One commit with all files, where the repository is still empty."""
    if project.branches.list(get_all=False):
        return
    actions = [{"action": "create", "file_path": path, "content": text} for path, text in sample_files().items()]
    project.commits.create({"branch": "main", "commit_message": "Bring the plant's data", "actions": actions})


def _issues(project: Project, engineer: User) -> None:
    known = {issue.title for issue in project.issues.list(get_all=True)}
    for sample in sample_issues():
        if sample.title not in known:
            _issue(project, engineer, sample)


def _issue(project: Project, engineer: User, sample: SampleIssue) -> int:
    given: dict[str, object] = {
        "title": sample.title,
        "description": sample.description,
        "labels": ",".join(sample.labels),
        "assignee_ids": [engineer.id],
    }
    if sample.due_date is not None:
        given["due_date"] = sample.due_date.isoformat()
    return int(project.issues.create(given).iid)


def _webhook(project: Project, url: str, secret: str) -> None:
    for hook in project.hooks.list(get_all=True):
        if hook.url == url:
            return
        hook.delete()
    events = {"push_events": True, "issues_events": True, "merge_requests_events": True}
    project.hooks.create({"url": url, "token": secret, "enable_ssl_verification": False, **events})


def _token(url: str, user: User, known: str, scopes: tuple[str, ...]) -> str:
    """The known token if GitLab still takes it, else a new one."""
    if known and _is_taken(url, known):
        return known
    made: Mapping[str, Any] = user.personal_access_tokens.create({"name": "demo", "scopes": list(scopes)}).attributes
    return str(made["token"])


def _is_taken(url: str, token: str) -> bool:
    try:
        gitlab.Gitlab(url, private_token=token, timeout=30).auth()
    except GitlabAuthenticationError:
        return False
    except GitlabError as error:
        if error.response_code in {401, 403}:
            return False
        raise
    return True

"""The contract's world over a real GitLab server, set up by its administrator through the public API."""

from collections.abc import Mapping, Sequence
from itertools import count
from uuid import uuid4

import gitlab
from gitlab.const import AccessLevel
from gitlab.exceptions import GitlabGetError
from gitlab.v4.objects import Project as RemoteProject

from gitlab_facade import GitLabFacade, answers
from sagas.ids import CommitSha
from sagas.ports import Issue, Project, User


class ServerWorld:
    """A service user with Developer rights and an engineer who may rewrite history, each with a token of their own."""

    def __init__(self, url: str, admin_token: str) -> None:
        self._url = url
        self._admin = _client(url, admin_token)
        self._numbers = count(1)
        self._tag = uuid4().hex[:10]
        self.service, service_token = self._add_user("orchestrator")
        self.engineer, engineer_token = self._add_user("ada")
        self._hands = _client(url, engineer_token)
        self.forge = GitLabFacade(url, service_token, timeout=(3.05, 30))

    def add_project(self, files: Mapping[str, str] | None = None) -> Project:
        name = f"unit-{self._tag}-{next(self._numbers)}"
        made = self._admin.projects.create({"name": name, "path": name, "visibility": "private"})
        made.members.create({"user_id": self.service.id, "access_level": AccessLevel.DEVELOPER})
        made.members.create({"user_id": self.engineer.id, "access_level": AccessLevel.MAINTAINER})
        if files is not None:
            actions = [{"action": "create", "file_path": path, "content": text} for path, text in files.items()]
            made.commits.create({"branch": "main", "commit_message": "Initial commit", "actions": actions})
            self._protect(made, "main")
        return answers.project(self._admin.projects.get(made.id).attributes)

    def write(
        self, project: Project, branch: str, path: str, text: str | None, *, message: str = "Change by hand"
    ) -> CommitSha:
        remote = self._by_hand(project)
        action = {"action": _action(remote, branch, path, text), "file_path": path}
        action |= {} if text is None else {"content": text}
        made = remote.commits.create({"branch": branch, "commit_message": message, "actions": [action]})
        return CommitSha(made.id)

    def force_push(self, project: Project, branch: str, to: CommitSha) -> None:
        self.remove_branch(project, branch)
        self.restore_branch(project, branch, to)

    def restore_branch(self, project: Project, branch: str, head: CommitSha) -> None:
        self._by_hand(project).branches.create({"branch": branch, "ref": head})

    def remove_branch(self, project: Project, branch: str) -> None:
        self._by_hand(project).branches.delete(branch)

    def add_issue(self, project: Project, title: str, *, labels: Sequence[str] = (), assigned: bool = True) -> Issue:
        assignees = [self.engineer.id] if assigned else []
        document = {"title": title, "labels": ",".join(labels), "assignee_ids": assignees}
        return answers.issue(self._by_hand(project).issues.create(document).attributes)

    def close_issue(self, issue: Issue) -> None:
        remote = self._hands.projects.get(issue.project_id, lazy=True)
        remote.issues.update(issue.iid, {"state_event": "close"})

    def close_merge_request(self, project: Project, iid: int) -> None:
        self._by_hand(project).mergerequests.update(iid, {"state_event": "close"})

    def merge(self, project: Project, iid: int) -> None:
        self._by_hand(project).mergerequests.get(iid).merge(should_remove_source_branch=False)

    def _add_user(self, name: str) -> tuple[User, str]:
        username = f"{name}-{self._tag}"
        made = self._admin.users.create(
            {
                "username": username,
                "name": name.title(),
                "email": f"{username}@example.test",
                "force_random_password": True,
                "skip_confirmation": True,
            }
        )
        token = self._admin.users.get(made.id, lazy=True).personal_access_tokens.create(
            {"name": "tests", "scopes": ["api"]}
        )
        return User(made.id, username, name.title(), f"{username}@example.test"), token.token

    def _by_hand(self, project: Project) -> RemoteProject:
        return self._hands.projects.get(project.id, lazy=True)

    def _protect(self, remote: RemoteProject, branch: str) -> None:
        if not remote.branches.get(branch).protected:
            remote.protectedbranches.create({"name": branch})


def _client(url: str, token: str) -> gitlab.Gitlab:
    return gitlab.Gitlab(url, private_token=token, timeout=30, keep_base_url=True)


def _action(remote: RemoteProject, branch: str, path: str, text: str | None) -> str:
    if text is None:
        return "delete"
    try:
        remote.files.get(path, ref=branch)
    except GitlabGetError:
        return "create"
    return "update"

"""One authenticated call of the REST API, and the questions that handlers ask of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from gitlab_emulator.database import Database
from gitlab_emulator.deliveries import DeliveryQueue
from gitlab_emulator.errors import ApiError, forbidden, not_found, plain, unauthorized
from gitlab_emulator.git.repository import Repository, RepositoryStore
from gitlab_emulator.lag import Lag
from gitlab_emulator.parameters import LARGEST_NUMBER, Parameters
from gitlab_emulator.store.projects import moved_project, project_by_id, project_by_path, role_in_project
from gitlab_emulator.store.records import Project, Role, Token, User


@dataclass(frozen=True)
class Services:
    """What every part of the emulator shares."""

    database: Database
    repositories: RepositoryStore
    deliveries: DeliveryQueue
    lag: Lag
    scratch: Path
    """Directory for files that live as long as one request."""
    hooks_path: Path
    """Directory of the git hooks that every push runs."""
    external_url: str | None


@dataclass(frozen=True)
class Identity:
    """Who is asking, and with which token."""

    user: User
    token: Token


@dataclass(frozen=True)
class ProjectAccess:
    """A project as the caller may see it."""

    project: Project
    role: int
    repository: Repository


@dataclass(frozen=True)
class Call:
    """A request after authentication."""

    services: Services
    identity: Identity | None
    method: str
    path: Mapping[str, str]
    params: Parameters
    headers: Mapping[str, str]
    base_url: str
    """External address of this GitLab, without a trailing slash."""
    raw_path: str
    query: str

    @property
    def user(self) -> User:
        """The caller; 401 for an anonymous one."""
        if self.identity is None:
            raise unauthorized()
        return self.identity.user

    @property
    def admin(self) -> User:
        """The caller, who must be an administrator: 403 otherwise."""
        if not self.user.is_admin:
            raise forbidden()
        return self.user

    def number(self, name: str) -> int:
        """A number in the path; anything else is a failed lookup."""
        try:
            number = int(self.path[name])
        except ValueError:
            raise not_found() from None
        if abs(number) > LARGEST_NUMBER:
            raise not_found()
        return number

    def project(self, minimum: Role = Role.NONE) -> ProjectAccess:
        """The project of `:id`.

        404 when it does not exist or the caller may not see it, 403 below `minimum`, and the answers of a moved
        project for its former path.
        """
        access = find_project(self.services, self.path["id"], self.identity.user if self.identity else None)
        if access is None:
            raise self._moved() or not_found("Project")
        if minimum is not Role.NONE:
            _ = self.user
        if access.role < minimum:
            raise forbidden()
        return access

    def code(self) -> ProjectAccess:
        """The project of `:id`, whose repository the caller must be allowed to read."""
        access = self.project()
        if not may_read_code(access):
            raise forbidden()
        return access

    def _may_see(self, project: Project) -> bool:
        return find_project(self.services, str(project.id), self.identity.user if self.identity else None) is not None

    def _moved(self) -> ApiError | None:
        with self.services.database.reading() as connection:
            project = moved_project(connection, self.path["id"])
        if project is None or not self._may_see(project):
            return None
        if self.method not in ("GET", "HEAD"):
            return ApiError(405, {"message": "Non GET methods are not allowed for moved projects"})
        _, _, rest = self.raw_path.removeprefix("/api/v4/projects/").partition("/")
        address = f"{self.base_url}/api/v4/projects/{project.id}" + (f"/{rest}" if rest else "")
        address += f"?{self.query}" if self.query else ""
        return ApiError(
            301, {"message": f"This resource has been moved permanently to {address}"}, {"Location": address}
        )


def find_project(services: Services, name: str, user: User | None) -> ProjectAccess | None:
    """A project by number or full path as `user` sees it; None when there is none to be seen."""
    with services.database.reading() as connection:
        project = project_by_id(connection, int(name)) if is_number(name) else project_by_path(connection, name)
        if project is None:
            return None
        role = role_in_project(connection, project, user)
    visible = role > Role.NONE or project.visibility == "public" or (project.visibility == "internal" and user)
    return ProjectAccess(project, role, services.repositories.open(project.id)) if visible else None


def is_number(name: str) -> bool:
    """Whether a name in a path is an id."""
    return name.isdecimal() and int(name) <= LARGEST_NUMBER


def may_read_code(access: ProjectAccess) -> bool:
    """Guests and planners of a private project see no code."""
    return access.role >= Role.REPORTER or access.project.visibility != "private"


def check_unmodified_since(call: Call, updated_at: str) -> None:
    """412 when `If-Unmodified-Since` is older than the resource."""
    header = call.headers.get("if-unmodified-since")
    if header is None:
        return
    try:
        limit = parsedate_to_datetime(header)
    except ValueError:
        return
    if limit < datetime.fromisoformat(updated_at).replace(microsecond=0):
        raise plain(412)

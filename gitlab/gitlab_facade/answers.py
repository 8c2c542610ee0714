"""GitLab's JSON turned into the port's dataclasses; whatever does not have GitLab's shape is a GitlabParsingError."""

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from typing import Any, TypeAlias, TypeVar

from gitlab.exceptions import GitlabParsingError

from gitlab_facade.trailers import parse_trailers
from sagas.ids import BlobId, CommitSha, ProjectId
from sagas.ports import Branch, Commit, File, Issue, MergeRequest, Project, User

Answer: TypeAlias = Mapping[str, Any]
T = TypeVar("T")


def require_object(answer: object) -> Answer:
    """The answer as a JSON object; python-gitlab hands out the raw response where a proxy answered with something else."""
    if not isinstance(answer, dict):
        raise GitlabParsingError(f"expected a JSON object, got {type(answer).__name__}")
    return answer


def _reader(read: Callable[[Answer], T]) -> Callable[[Answer], T]:
    @wraps(read)
    def checked(answer: Answer) -> T:
        try:
            return read(require_object(answer))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise GitlabParsingError(f"not what GitLab sends as {read.__name__}: {error!r}") from error

    return checked


@_reader
def user(answer: Answer) -> User:
    """A user, as in `GET /user` and among an issue's assignees (there without an e-mail address)."""
    return User(
        int(answer["id"]),
        answer["username"],
        answer.get("name"),
        answer.get("email") or None,
        answer.get("avatar_url"),
        external=answer.get("external") is True,
    )


@_reader
def project(answer: Answer) -> Project:
    """A project; an empty repository has no default branch."""
    return Project(
        id=ProjectId(int(answer["id"])),
        path=answer["path_with_namespace"],
        web_url=answer["web_url"],
        repo_url=answer["http_url_to_repo"],
        default_branch=None if answer.get("empty_repo") else answer.get("default_branch") or None,
    )


@_reader
def branch(answer: Answer) -> Branch:
    """A branch; GitLab's `developers_can_push` speaks of protected branches only."""
    protected = bool(answer.get("protected"))
    return Branch(
        name=answer["name"],
        head=CommitSha(answer["commit"]["id"]),
        web_url=answer.get("web_url") or "",
        protected=protected,
        can_push=bool(answer.get("can_push", not protected)),
        developers_can_push=not protected or bool(answer.get("developers_can_push")),
    )


@_reader
def file(answer: Answer) -> File:
    """A file of the repository files API, decoded."""
    return File(
        path=answer["file_path"],
        content=base64.b64decode(answer["content"]),
        blob_id=BlobId(answer["blob_id"]),
        commit_id=CommitSha(answer["commit_id"]),
        last_commit_id=CommitSha(answer["last_commit_id"]),
    )


@_reader
def commit(answer: Answer) -> Commit:
    """A commit; trailers come from its message where GitLab was not asked for them (the answer to a POST)."""
    return Commit(
        sha=CommitSha(answer["id"]),
        title=answer["title"],
        message=answer["message"],
        web_url=answer.get("web_url") or "",
        author_name=answer["author_name"],
        author_email=answer["author_email"],
        committer_email=answer["committer_email"],
        created_at=moment(answer["created_at"]),
        parent_ids=tuple(CommitSha(sha) for sha in answer.get("parent_ids") or ()),
        trailers=dict(answer.get("trailers") or parse_trailers(answer["message"])),
    )


@_reader
def issue(answer: Answer) -> Issue:
    """An issue; its project's path stands before the `#` of the full reference."""
    return Issue(
        id=int(answer["id"]),
        iid=int(answer["iid"]),
        project_id=ProjectId(int(answer["project_id"])),
        project_path=answer["references"]["full"].rpartition("#")[0],
        title=answer["title"],
        description=answer.get("description"),
        state=answer["state"],
        labels=tuple(answer.get("labels") or ()),
        web_url=answer["web_url"],
        assignees=tuple(user(assignee) for assignee in answer.get("assignees") or ()),
        created_at=moment(answer["created_at"]),
        updated_at=moment(answer["updated_at"]),
        due_date=answer.get("due_date"),
        confidential=answer.get("confidential") is True,
        author_id=None if answer.get("author") is None else int(answer["author"]["id"]),
    )


@_reader
def merge_request(answer: Answer) -> MergeRequest:
    """A merge request; `sha` may lag behind the branch for a moment."""
    sha = answer.get("sha")
    return MergeRequest(
        id=int(answer["id"]),
        iid=int(answer["iid"]),
        project_id=ProjectId(int(answer["project_id"])),
        title=answer["title"],
        description=answer.get("description"),
        state=answer["state"],
        web_url=answer["web_url"],
        source_branch=answer["source_branch"],
        target_branch=answer["target_branch"],
        sha=CommitSha(sha) if sha else None,
    )


def moment(text: str) -> datetime:
    """A time of the API, ISO 8601 with its offset; raises ValueError for one without."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return value

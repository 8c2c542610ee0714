"""Repository files."""

import base64
import hashlib
from dataclasses import dataclass

from gitlab_emulator.api.commit_changes import decoded
from gitlab_emulator.call import Call, ProjectAccess
from gitlab_emulator.commit_changes import Action, ChangeRequest, checked_path, commit_changes
from gitlab_emulator.errors import ApiError, not_found, refused
from gitlab_emulator.git.history import last_commit_touching
from gitlab_emulator.git.objects import EXECUTABLE_MODE, TreeEntry
from gitlab_emulator.pagination import list_reply
from gitlab_emulator.present.commits import commit_json
from gitlab_emulator.present.projects import project_url
from gitlab_emulator.push import may_push_to
from gitlab_emulator.replies import Reply, created, json_reply, no_content
from gitlab_emulator.routes import CODE_SCOPES, ApiRouter
from gitlab_emulator.store.records import Role

router = ApiRouter()
_PATTERN = "/projects/:id/repository/files/:path"
_CHANGED = "You are attempting to update a file that has changed since you started editing it."


@dataclass(frozen=True)
class _File:
    """A file at a ref."""

    path: str
    ref: str
    entry: TreeEntry
    data: bytes
    commit_id: str
    last_commit_id: str

    @property
    def facts(self) -> dict[str, object]:
        """What body and headers tell about it."""
        return {
            "file_name": self.path.rpartition("/")[2],
            "file_path": self.path,
            "size": len(self.data),
            "encoding": "base64",
            "content_sha256": hashlib.sha256(self.data).hexdigest(),
            "ref": self.ref,
            "blob_id": self.entry.id,
            "commit_id": self.commit_id,
            "last_commit_id": self.last_commit_id,
            "execute_filemode": self.entry.mode == EXECUTABLE_MODE,
        }

    @property
    def headers(self) -> dict[str, str]:
        """The same as `X-Gitlab-*` headers; header values are Latin-1, so other characters are escaped."""
        return {
            "X-Gitlab-" + "-".join(part.capitalize() for part in name.split("_")): _header(value)
            for name, value in self.facts.items()
        }


@router.get(_PATTERN, scopes=CODE_SCOPES)
def get_file(call: Call) -> Reply:
    """A file's content and facts; HEAD gives the facts as headers alone."""
    access = call.code()
    call.params.require("ref")
    file = _read(call, access, call.params.text("ref"))
    if call.method == "HEAD":
        return Reply(200, headers=file.headers)
    content = base64.b64encode(file.data).decode()
    return json_reply(file.facts | {"content": content}, headers=file.headers)


@router.get(_PATTERN + "/raw", scopes=CODE_SCOPES)
def get_raw(call: Call) -> Reply:
    """A file's bytes, at HEAD unless a ref is given."""
    access = call.code()
    file = _read(call, access, call.params.text("ref", "HEAD"))
    disposition = {"Content-Disposition": "inline"}
    return Reply(200, file.data, "text/plain; charset=utf-8", file.headers | disposition)


@router.get(_PATTERN + "/blame", scopes=CODE_SCOPES)
def get_blame(call: Call) -> Reply:
    """Which commit wrote which lines."""
    access = call.code()
    call.params.require("ref")
    file = _read(call, access, call.params.text("ref"))
    out = access.repository.git("blame", "--porcelain", file.commit_id, "--", file.path).decode("utf-8", "replace")
    groups: list[tuple[str, list[str]]] = []
    current = ""
    for line in out.split("\n"):
        if line.startswith("\t"):
            if groups and groups[-1][0] == current:
                groups[-1][1].append(line[1:])
            else:
                groups.append((current, [line[1:]]))
        elif len(line) > 40 and line[40] == " " and set(line[:40]) <= set("0123456789abcdef"):
            current = line[:40]
    web_url = project_url(access.project, call.base_url)
    shown = [
        {"commit": commit_json(access.repository.commit(commit_id), web_url), "lines": lines}
        for commit_id, lines in groups
    ]
    return list_reply(shown, {})


@router.post(_PATTERN)
def create_file(call: Call) -> Reply:
    """A new file in one commit."""
    access = call.project(Role.DEVELOPER)
    call.params.require("branch", "commit_message", "content")
    _commit(call, access, Action("create", call.path["path"], content=_content(call), executable=_executable(call)))
    return created({"file_path": call.path["path"], "branch": call.params.text("branch")})


@router.put(_PATTERN)
def update_file(call: Call) -> Reply:
    """Another content for a file, in one commit."""
    access = call.project(Role.DEVELOPER)
    call.params.require("branch", "commit_message", "content")
    path = call.path["path"]
    action = Action(
        "update",
        path,
        content=_content(call),
        last_commit_id=call.params.optional_text("last_commit_id"),
        executable=_executable(call),
    )
    try:
        _commit(call, access, action)
    except ApiError as failure:
        if str(failure.body.get("message", "")).startswith("The file has changed since you started editing it"):
            raise refused(_CHANGED) from None
        raise
    return json_reply({"file_path": path, "branch": call.params.text("branch")})


@router.delete(_PATTERN)
def delete_file(call: Call) -> Reply:
    """A file less, in one commit; no `last_commit_id` guards it."""
    access = call.project(Role.DEVELOPER)
    call.params.require("branch", "commit_message")
    _commit(call, access, Action("delete", call.path["path"]))
    return no_content()


def _commit(call: Call, access: ProjectAccess, action: Action) -> None:
    params = call.params
    params.require("branch", "commit_message", blank=False)
    branch = params.text("branch")
    with call.services.database.reading() as connection:
        if not may_push_to(connection, access, branch):
            raise refused("You are not allowed to push into this branch")
    request = ChangeRequest(
        branch=branch,
        message=params.text("commit_message"),
        actions=(action,),
        start_branch=params.optional_text("start_branch"),
        author_name=params.optional_text("author_name"),
        author_email=params.optional_text("author_email"),
    )
    commit_changes(call.services, access, call.user, call.base_url, request)


def _content(call: Call) -> bytes:
    encoding = call.params.choice("encoding", ("text", "base64"), "text")
    return decoded(call.params.text("content"), encoding)


def _executable(call: Call) -> bool | None:
    return call.params.boolean("execute_filemode") if "execute_filemode" in call.params else None


def _read(call: Call, access: ProjectAccess, ref: str) -> _File:
    """The file of a call: an unknown ref is told before an unknown path."""
    repository = access.repository
    commit_id = repository.resolve(ref)
    if commit_id is None:
        raise not_found("Commit")
    path = checked_path(call.path["path"])
    entry = repository.entry(commit_id, path)
    data = repository.blob(entry.id) if entry and entry.kind == "blob" else None
    if entry is None or data is None:
        raise not_found("File")
    last = last_commit_touching(repository, commit_id, path) or commit_id
    return _File(path, ref, entry, data, commit_id, last)


def _header(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.encode("utf-8", "surrogateescape").decode("latin-1")

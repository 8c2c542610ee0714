"""A running emulator for tests of any part.

    with start_emulator(tmp_path) as emulator:            # a process of its own on a free port
        user = emulator.create_user("ada")                # User(id, username, token)
        project = emulator.create_project("billing", files={"balance_input.json": "{}\\n"}, members={user.id: 30})
        emulator.faults(method="POST", path="/repository/commits$", drop="after", times=1)
        gitlab.Gitlab(emulator.url, private_token=user.token)

Every call goes over HTTP as the administrator. `requests_seen()` tells what clients sent; `kill()` is `kill -9`.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ADMIN_TOKEN = "test-admin-token"
DEVELOPER = 30
MAINTAINER = 40


@dataclass(frozen=True)
class EmulatorUser:
    """A user with one token."""

    id: int
    username: str
    token: str


@dataclass(frozen=True)
class EmulatorProject:
    """A project; `git_url` carries no credentials."""

    id: int
    path: str
    git_url: str
    default_branch: str | None


@dataclass
class Emulator:
    """A running emulator."""

    url: str
    admin_token: str
    pid: int
    data_dir: Path

    def request(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, token: str | None = None
    ) -> Any:
        """One call as the administrator (or with `token`); the decoded answer. Raises AssertionError on an error status."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"PRIVATE-TOKEN": token or self.admin_token, "Content-Type": "application/json"}
        call = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(call, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as failure:
            with failure:
                detail = failure.read().decode()
            raise AssertionError(f"{method} {path}: {failure.code} {detail}") from None
        return json.loads(text) if text else None

    def api(self, method: str, path: str, body: Mapping[str, object] | None = None, *, token: str | None = None) -> Any:
        """`request` below `/api/v4`."""
        return self.request(method, "/api/v4" + path, body, token=token)

    def create_user(
        self, name: str | None = None, *, admin: bool = False, scopes: Sequence[str] = ("api",)
    ) -> EmulatorUser:
        """A user with a token of these scopes."""
        username = name or f"user-{uuid.uuid4().hex[:10]}"
        body = {"username": username, "name": username.title(), "email": f"{username}@example.com", "admin": admin}
        user = self.api("POST", "/users", body)
        return EmulatorUser(user["id"], username, self.create_token(user["id"], scopes=scopes))

    def create_token(self, user_id: int, *, scopes: Sequence[str] = ("api",), expires_at: str | None = None) -> str:
        """The text of a new token."""
        body = {"name": "test", "scopes": list(scopes), "expires_at": expires_at}
        return str(self.api("POST", f"/users/{user_id}/personal_access_tokens", body)["token"])

    def create_project(
        self,
        name: str | None = None,
        *,
        files: Mapping[str, str] | None = None,
        members: Mapping[int, int] | None = None,
        **fields: object,
    ) -> EmulatorProject:
        """A private project of the administrator; `files` become its first commit on `main`."""
        wanted = name or f"project-{uuid.uuid4().hex[:10]}"
        project = self.api("POST", "/projects", {"name": wanted, "path": wanted, **fields})
        for user_id, level in (members or {}).items():
            self.add_member(project["id"], user_id, level)
        if files:
            self.commit(project["id"], "main", files, message="Start")
            project = self.api("GET", f"/projects/{project['id']}")
        return EmulatorProject(
            project["id"], project["path_with_namespace"], project["http_url_to_repo"], project["default_branch"]
        )

    def add_member(self, project_id: int, user_id: int, level: int = DEVELOPER) -> None:
        """Give a user a role."""
        self.api("POST", f"/projects/{project_id}/members", {"user_id": user_id, "access_level": level})

    def commit(
        self,
        project_id: int,
        branch: str,
        files: Mapping[str, str | None],
        *,
        message: str = "Change",
        start_branch: str | None = None,
        token: str | None = None,
    ) -> str:
        """Write files (None deletes one) in one commit; returns its id."""
        actions = [self._action(project_id, start_branch or branch, path, text) for path, text in files.items()]
        body: dict[str, object] = {"branch": branch, "commit_message": message, "actions": actions}
        if start_branch:
            body["start_branch"] = start_branch
        return str(self.api("POST", f"/projects/{project_id}/repository/commits", body, token=token)["id"])

    def read_file(self, project_id: int, path: str, ref: str = "main") -> str | None:
        """A file's text, None when there is none."""
        place = urllib.parse.quote(path, safe="")
        address = f"{self.url}/api/v4/projects/{project_id}/repository/files/{place}/raw?ref={urllib.parse.quote(ref)}"
        call = urllib.request.Request(address, headers={"PRIVATE-TOKEN": self.admin_token})
        try:
            with urllib.request.urlopen(call, timeout=30) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as failure:
            failure.close()
            if failure.code == 404:
                return None
            raise

    def faults(self, **fault: object) -> int:
        """Set a fault (fields as in `docs/emulator.md`); returns its id."""
        return int(self.request("POST", "/emulator/faults", fault)["id"])

    def clear_faults(self) -> None:
        """No faults any more."""
        self.request("DELETE", "/emulator/faults")

    def lag(self, **settings: object) -> None:
        """Set delays; all zero until then."""
        self.request("POST", "/emulator/lag", settings)

    def requests_seen(self, since: int = 0) -> list[dict[str, Any]]:
        """The request log after a sequence number."""
        seen: list[dict[str, Any]] = self.request("GET", f"/emulator/requests?since={since}")
        return seen

    def kill(self) -> None:
        """End the process as `kill -9` does."""
        os.kill(self.pid, signal.SIGKILL)

    def _action(self, project_id: int, branch: str, path: str, text: str | None) -> dict[str, object]:
        if text is None:
            return {"action": "delete", "file_path": path}
        known = self.read_file(project_id, path, branch) is not None
        return {"action": "update" if known else "create", "file_path": path, "content": text}


def free_port() -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def start_emulator(
    data_dir: Path, *, port: int | None = None, external_url: str | None = None, admin_token: str = ADMIN_TOKEN
) -> Iterator[Emulator]:
    """A running emulator process; ended at the block's end. The same directory and port start it again."""
    port = port or free_port()
    data_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "gitlab_emulator", "--data-dir", str(data_dir), "--port", str(port)]
    command += ["--admin-token", admin_token]
    command += ["--external-url", external_url] if external_url else []
    with (data_dir / "emulator.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            emulator = Emulator(f"http://127.0.0.1:{port}", admin_token, process.pid, data_dir)
            _wait_until_up(emulator, process)
            yield emulator
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_up(emulator: Emulator, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(emulator.url + "/emulator/health", timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    log = (emulator.data_dir / "emulator.log").read_text(errors="replace")
    raise AssertionError(f"the emulator did not start:\n{log}")

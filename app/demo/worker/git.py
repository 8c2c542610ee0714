"""Running git: with a clean environment, a time limit, and a token that never touches disk, arguments or logs."""

import base64
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from app.demo.worker.errors import CalculationFailed, GitUnavailable
from app.demo.worker.settings import WorkerSettings

_GIT = shutil.which("git") or "git"
_GONE = (
    "couldn't find remote ref",
    "does not appear to be a git repository",
    "not found",
    "not our ref",
)
"""What the server says of things that are not there and will not come by waiting."""

_FORBIDDEN = "The requested URL returned error: 403"


@dataclass(frozen=True, slots=True)
class Finished:
    """A git command that ended: its code, its output's bytes, its complaint without secrets."""

    code: int
    output: bytes
    complaint: str

    @property
    def text(self) -> str:
        """The output, stripped."""
        return self.output.decode(errors="replace").strip()


class Git:
    """git in one repository directory."""

    def __init__(self, directory: Path, repo_url: str, settings: WorkerSettings) -> None:
        self._directory, self._settings = directory, settings
        self._secret = base64.b64encode(f"oauth2:{settings.gitlab_token}".encode()).decode()
        self._environment = self._clean_environment(repo_url)

    def run(
        self, *arguments: str, stdin: bytes | None = None, environment: Mapping[str, str] | None = None
    ) -> Finished:
        """Run to the end, whatever its code. Raises `GitUnavailable` where it takes longer than the setting allows."""
        process = subprocess.Popen(  # noqa: S603  no shell; message.py has checked what comes from the message
            [_GIT, *arguments],
            cwd=self._directory,
            env=self._environment | dict(environment or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            output, complaint = process.communicate(stdin, timeout=self._settings.git_timeout.total_seconds())
        except subprocess.TimeoutExpired:
            raise GitUnavailable(f"git {arguments[0]} did not end in {self._settings.git_timeout}.") from None
        finally:
            _end(process)
        return Finished(process.returncode, output, self._without_secrets(complaint.decode(errors="replace")))

    def local(self, *arguments: str, stdin: bytes | None = None, environment: Mapping[str, str] | None = None) -> bytes:
        """The output of a command that speaks to no server; it failing is a defect, told as it is."""
        finished = self.run(*arguments, stdin=stdin, environment=environment)
        if finished.code != 0:
            raise RuntimeError(f"git {arguments[0]} ended with {finished.code}: {finished.complaint.strip()}")
        return finished.output

    def remote(self, *arguments: str) -> bytes:
        """The output of a command that asks the server.

        Raises `CalculationFailed` where what it asks for is not there, `GitUnavailable` for any other fault.
        """
        finished = self.run(*arguments)
        if finished.code == 0:
            return finished.output
        raise fault_of(arguments[0], finished.complaint)

    def _clean_environment(self, repo_url: str) -> dict[str, str]:
        """Nothing of the machine's git settings, no prompt, English texts; the token as configuration by environment."""
        author, email = self._settings.author_name, self._settings.author_email
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._directory),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_ALLOW_PROTOCOL": ":".join(self._settings.protocols),
            "GIT_AUTHOR_NAME": author,
            "GIT_AUTHOR_EMAIL": email,
            "GIT_COMMITTER_NAME": author,
            "GIT_COMMITTER_EMAIL": email,
        }
        values = {"http.lowSpeedLimit": "1", "http.lowSpeedTime": "30", "http.followRedirects": "false", "gc.auto": "0"}
        parts = urlsplit(repo_url)
        if parts.scheme in {"http", "https"}:
            values[f"http.{parts.scheme}://{parts.netloc}/.extraHeader"] = f"Authorization: Basic {self._secret}"
        environment["GIT_CONFIG_COUNT"] = str(len(values))
        for index, (key, value) in enumerate(values.items()):
            environment |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
        return environment

    def _without_secrets(self, text: str) -> str:
        for secret in (self._secret, self._settings.gitlab_token):
            text = text.replace(secret, "***") if secret else text
        return text


def fault_of(command: str, complaint: str) -> CalculationFailed | GitUnavailable:
    """What a complaint about the server means: never, or perhaps later."""
    if _FORBIDDEN in complaint:
        told = [line.removeprefix("remote:").strip() for line in complaint.splitlines() if line.startswith("remote:")]
        return CalculationFailed(f"The server forbids it: {' '.join(filter(None, told)) or _reason(complaint)}")
    text = f"git {command}: {_reason(complaint)}"
    gone = any(phrase in complaint.lower() for phrase in _GONE)
    return CalculationFailed(text) if gone else GitUnavailable(text)


def _reason(complaint: str) -> str:
    """The line that says why; git adds advice after it."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return next(iter(reasons or lines), "no reason was given")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of the command's process group outlives the call: git's helpers would go on writing to the clone."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()

"""The one place that starts `git`."""

import os
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True)
class Finished:
    """A git process that ended."""

    code: int
    output: bytes
    errors: bytes

    @property
    def complaint(self) -> str:
        """Its standard error as text, without git's own prefix."""
        return self.errors.decode("utf-8", "replace").strip().removeprefix("fatal: ").removeprefix("error: ")


class GitFailedError(Exception):
    """A git command failed that should have worked."""

    def __init__(self, arguments: tuple[str, ...], finished: Finished) -> None:
        self.finished = finished
        super().__init__(f"git {' '.join(arguments)} ended with {finished.code}: {finished.complaint}")


@lru_cache(maxsize=1)
def git_environment() -> dict[str, str]:
    """Environment of every git process: no configuration of the machine or its user, English texts, no questions."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": "1",
        # The data directory may belong to another user, as in a container with a mounted volume.
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }


def run_git(git_dir: Path | None, *arguments: str, stdin: bytes = b"", check: bool = True) -> Finished:
    """Run one git command to its end.

    Raises GitFailedError when it fails and `check` is set.
    """
    where = ("--git-dir", str(git_dir)) if git_dir else ()
    done = subprocess.run(  # noqa: S603 - a list of arguments, no shell
        ("git", *where, *arguments),  # noqa: S607 - the git of the machine is wanted
        input=stdin,
        capture_output=True,
        env=git_environment(),
        check=False,
    )
    finished = Finished(done.returncode, done.stdout, done.stderr)
    if check and finished.code != 0:
        raise GitFailedError(arguments, finished)
    return finished


def open_cat_file(git_dir: Path) -> subprocess.Popen[bytes]:
    """A `git cat-file` that answers as long as its input stays open; it ends with the process that opened it."""
    return subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
        ("git", "--git-dir", str(git_dir), "cat-file", "--batch-command"),  # noqa: S607 - the git of the machine
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=git_environment(),
    )

"""A bare repository with the sample project, and what tests ask of it; git without the machine's settings."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from app.demo.engineering import Json
from app.demo.sample import sample_files

BRANCH = "issue/1-summer"
CONDENSER_INPUT: Json = {
    "geometry": "brass-28x1",
    "heat_duty_mw": 334,
    "cooling_water": {"inlet_temperature_c": 18, "flow_kg_s": 9500},
}


def git(directory: Path, *arguments: str, stdin: str | None = None) -> str:
    """Output of a git command that must succeed."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "Irina Sokolova",
        "GIT_AUTHOR_EMAIL": "irina@example.org",
        "GIT_COMMITTER_NAME": "Irina Sokolova",
        "GIT_COMMITTER_EMAIL": "irina@example.org",
    }
    done = subprocess.run(
        ["git", *arguments], cwd=directory, env=environment, input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Origin:
    """The server's side of a repository, reached by path."""

    path: Path
    work: Path

    @property
    def url(self) -> str:
        return f"file://{self.path}"

    def head(self, branch: str = BRANCH) -> str:
        return git(self.path, "rev-parse", f"refs/heads/{branch}")

    def commit(self, files: dict[str, str], message: str = "Change", branch: str = BRANCH) -> str:
        """Commit and push files as an engineer would; the new head."""
        git(self.work, "fetch", "--quiet", "origin")
        git(self.work, "checkout", "--quiet", "-B", branch, f"origin/{branch}")
        for name, content in files.items():
            (self.work / name).write_text(content, encoding="utf-8")
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--message", message)
        git(self.work, "push", "--quiet", "origin", branch)
        return self.head(branch)

    def show(self, path: str, ref: str = BRANCH) -> str:
        return git(self.path, "show", f"{ref}:{path}")

    def commits_since(self, base: str, branch: str = BRANCH) -> list[str]:
        return git(self.path, "rev-list", "--reverse", f"{base}..{branch}").split()

    def trailer(self, commit: str) -> str:
        return git(self.path, "log", "-1", "--format=%(trailers:key=Correlation-Id,valueonly)", commit)

    def changed_files(self, commit: str) -> list[str]:
        return git(self.path, "diff-tree", "--no-commit-id", "--name-only", "-r", commit).split()


def make_origin(directory: Path, *, condenser_input: Json = CONDENSER_INPUT) -> Origin:
    """The sample project on `main`, and the issue's branch with a condenser input on it."""
    origin = Origin(directory / "origin.git", directory / "work")
    for path in (origin.path, origin.work):
        path.mkdir(parents=True)
    git(origin.path, "init", "--quiet", "--bare", "--initial-branch=main")
    git(origin.work, "init", "--quiet", "--initial-branch=main")
    git(origin.work, "remote", "add", "origin", origin.url)
    for name, content in sample_files().items():
        (origin.work / name).write_text(content, encoding="utf-8")
    git(origin.work, "add", "--all")
    git(origin.work, "commit", "--quiet", "--message", "The plant")
    git(origin.work, "push", "--quiet", "origin", "main", f"main:refs/heads/{BRANCH}")
    origin.commit({"condenser_input.json": json.dumps(condenser_input)}, "Enter the condenser's input")
    return origin


def condenser_message(origin: Origin, **changed: object) -> dict[str, object]:
    """The task message for the condenser at the branch's present head."""
    return {
        "correlationId": str(uuid4()),
        "repoUrl": origin.url,
        "branch": BRANCH,
        "commitHash": origin.head(),
        "input_files": ["condenser_input.json", "geometries_manifest.json"],
        "output_file": "condenser_output.json",
    } | changed

"""A running demo for tests: started once, without its story; tests play their own on issues of their own."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gitlab
import psutil
import psycopg
from rich.console import Console

from app.demo.sample import sample_issues
from app.demo.scenario import Job
from app.demo.seed import ENGINEER, PROJECT_PATH
from app.demo.show import Show
from tests.support import eventually_sync

START_TIMEOUT = 180


@dataclass(frozen=True)
class RunningDemo:
    """A demo process and where to find what it runs."""

    process: "subprocess.Popen[bytes]"
    data_dir: Path

    def endpoints(self) -> dict[str, Any]:
        """As `endpoints.json` tells now."""
        content: dict[str, Any] = json.loads((self.data_dir / "endpoints.json").read_text())
        return content

    def pid(self, service: str) -> int:
        return int(self.endpoints()["pids"][service])

    def all_alive(self) -> bool:
        """Whether each pid of `endpoints.json` is a living process's."""
        return all(is_alive(pid) for pid in self.endpoints()["pids"].values())

    def gitlab(self) -> gitlab.Gitlab:
        told = self.endpoints()
        return gitlab.Gitlab(told["gitlab"], private_token=told["gitlab_token"], keep_base_url=True)

    def new_job(self) -> Job:
        """An issue of its own, assigned to the demo's user."""
        client = self.gitlab()
        project = client.projects.get(PROJECT_PATH)
        engineer = client.users.list(username=ENGINEER, get_all=False)[0]
        issue = project.issues.create({"title": sample_issues()[0].title, "assignee_ids": [engineer.id]})
        return Job(PROJECT_PATH, issue.iid, issue.title)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.endpoints()["database_url"]) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def clone(self, branch: str, into: Path) -> "Clone":
        told = self.endpoints()
        address = told["gitlab"].replace("http://", f"http://root:{told['gitlab_token']}@") + f"/{PROJECT_PATH}.git"
        subprocess.run(["git", "clone", "--quiet", "--branch", branch, address, str(into)], check=True)
        return Clone(into)

    def logs(self) -> str:
        parts = [f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in self.data_dir.glob("logs/*")]
        return "\n".join(parts)


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@dataclass(frozen=True)
class Clone:
    """A clone of the demo project, made with git."""

    folder: Path

    def log(self, form: str) -> list[str]:
        """One text a commit of the branch that main does not have, oldest first."""
        command = ["git", "-C", str(self.folder), "log", "--reverse", f"--format={form}%x00", "origin/main..HEAD"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return [part.strip() for part in text.split("\0") if part.strip()]

    def trailers(self, key: str) -> list[str]:
        return self.log(f"%(trailers:key={key},valueonly,separator=%x20)")

    def document(self, path: str) -> Any:
        return json.loads((self.folder / path).read_text())


class Witness(Show):
    """Shows to nobody; calls `at_step` with the number of each thing that happens."""

    def __init__(self, at_step: Callable[[int], None] = lambda _: None) -> None:
        self.written = io.StringIO()
        super().__init__(Console(file=self.written, width=200))
        self._at_step = at_step
        self._steps = 0

    def step(self, text: str, detail: str = "", *, mark: str = "•", colour: str = "green") -> None:
        super().step(text, detail, mark=mark, colour=colour)
        self._steps += 1
        self._at_step(self._steps)


@contextmanager
def running_demo(data_dir: Path, *options: str) -> Iterator[RunningDemo]:
    """`orchestrator demo --no-scenario` on free ports, ended in order at the end."""
    data_dir.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
    command = [sys.executable, "-m", "app.cli", "demo", "--no-scenario", "--port", "0", "--data-dir", str(data_dir)]
    with (data_dir / "demo.log").open("ab") as log:
        process = subprocess.Popen([*command, *options], stdout=log, stderr=log, env=environment, cwd=data_dir)
        try:
            eventually_sync(
                lambda: (data_dir / "endpoints.json").exists() or process.poll() is not None, timeout=START_TIMEOUT
            )
            assert process.poll() is None, (data_dir / "demo.log").read_text()
            yield RunningDemo(process, data_dir)
        finally:
            process.terminate()
            process.wait(60)

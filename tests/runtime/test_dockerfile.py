"""The Dockerfile, carried out step by step in a folder of its own, as no image can be built where tests run.

What makes a folder or a file happens for real, below a temporary root; what only a container's root may do (Debian's
packages, users) is left out and named.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
OF_A_CONTAINER = ("apt-get ", "useradd ")
"""RUN steps that begin so need a container's root."""

IGNORED = re.findall(r"^\*\*/(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)

pytestmark = [pytest.mark.demo, pytest.mark.timeout(600)]


def instructions() -> list[tuple[str, str]]:
    """Instruction and arguments, comments gone and continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in text.splitlines() if line.strip()]


class Build:
    """A build below `root`: `/opt`, `/src` and the like are folders there."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root
        self.left_out: list[str] = []

    def place(self, path: str) -> Path:
        return self.root / path.lstrip("/") if path.startswith("/") else self.folder / path

    def carry_out(self, instruction: str, arguments: str) -> None:
        match instruction:
            case "WORKDIR":
                self.folder = self.place(arguments)
                self.folder.mkdir(parents=True, exist_ok=True)
            case "COPY" if "--from=" not in arguments:
                *sources, target = arguments.split()
                for source in sources:
                    self.copy(ROOT / source, self.place(target))
            case "RUN" if arguments.startswith(OF_A_CONTAINER):
                self.left_out.append(arguments.split(maxsplit=1)[0])
            case "RUN":
                self.run(arguments)
            case "FROM" | "COPY" | "ENV" | "USER" | "EXPOSE" | "ENTRYPOINT" | "CMD":
                pass
            case _:
                raise AssertionError(f"this test does not know {instruction}")

    @staticmethod
    def copy(source: Path, target: Path) -> None:
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*IGNORED))
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)

    def run(self, command: str) -> None:
        command = command.replace("/opt/", f"{self.root}/opt/").replace("python -m venv", f"{sys.executable} -m venv")
        # The image must not keep a cache; this machine may use the one it has.
        command = command.replace("--no-cache-dir", "").replace("--no-cache", "")
        (self.root / "opt").mkdir(exist_ok=True)
        done = subprocess.run(["sh", "-euc", command], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_its_steps_make_an_environment_in_which_the_command_works(tmp_path: Path) -> None:
    build = Build(tmp_path / "image")
    build.root.mkdir()
    for instruction, arguments in instructions():
        build.carry_out(instruction, arguments)
    assert build.left_out == ["apt-get", "useradd"]

    command = build.root / "opt" / "orchestrator" / "bin" / "orchestrator"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(elsewhere)}

    def run(*arguments: str) -> str:
        return subprocess.run(
            [command, *arguments], cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert run("version").strip()
    assert run("schema").strip() == (ROOT / "schema" / "schema.graphql").read_text(encoding="utf-8").strip()
    python = command.with_name("python")
    told = "from app.migrate import newest_revision; import app; print(newest_revision(), app.__file__)"
    found = subprocess.run(
        [python, "-c", told], cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
    )
    assert str(build.root) in found.stdout, "it is the installed package, not this checkout"
    installed = subprocess.run(
        [python, "-m", "pip", "list", "--format=json"],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    names = {entry["name"].lower() for entry in json.loads(installed.stdout)}
    assert {"celery", "strawberry-graphql", "python-gitlab"} <= names
    pages = python.parents[1].glob("lib/python*/site-packages/app/*/dist/index.html")
    assert {page.parents[1].name for page in pages} == {"console", "graphiql"}, "the browser pages go along"
    assert not list(python.parents[1].glob("lib/python*/site-packages/app/console/src"))
    assert names.isdisjoint({"pytest", "mypy", "ruff", "playwright"}), "what only developers need is not in the image"


def test_it_does_not_run_as_root() -> None:
    users = [arguments for instruction, arguments in instructions() if instruction == "USER"]
    assert users == ["orchestrator"]

"""docs/frontend.md does what it says: its types are generated, its code compiles strictly and runs a whole job."""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from app.demo.sample import sample_files
from app.server import WebSocketConnection
from sagas import catalogue
from sagas.errors import RefusalCode
from schema import errors, ids, trusted
from tests.app.api import Api
from tests.app.listening import Listener
from tests.npm.needs import NODE
from tests.npm.node import FOLDER, Script, running, with_node
from tests.support import eventually
from tests.world import World, new_world

ROOT = FOLDER.parents[1]
PAGE = (ROOT / "docs" / "frontend.md").read_text(encoding="utf-8")
BRANCH = "issue/1-test"
FORMS = ("condenser", "feedwater_heaters")


def files_of(language: str) -> dict[str, str]:
    """The page's blocks of a language, by the file that their first line names."""
    blocks = re.findall(rf"^```{language}\n(?://|#) (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == len(re.findall(rf"^```{language}$", PAGE, re.MULTILINE)), "each block names its file"
    return dict(blocks)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    """With the shipped catalogue and the sample plant, so that the forms are those of real users."""
    shipped = json.loads(files(catalogue.__package__).joinpath("catalogue.json").read_text(encoding="utf-8"))
    async with new_world(database_url, shipped) as made:
        for path, text in sample_files().items():
            made.forge.write(made.project, BRANCH, path, text)
        yield made


def compiled(folder: Path) -> Path:
    """The page's TypeScript as a project of its own, generated and compiled; the script to run."""
    for path, text in files_of("ts").items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    for name, target in (("tsconfig.json", "tsconfig.json"), ("main.ts", "src/main.ts")):
        (folder / target).write_text((FOLDER / "frontend" / name).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "schema.graphql").write_text((ROOT / "schema" / "schema.graphql").read_text(encoding="utf-8"))
    (folder / "node_modules").symlink_to(FOLDER / "node_modules")
    for command in (("graphql-codegen", "--config", "codegen.ts"), ("tsc",)):
        done = with_node("npx", "--no-install", *command, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "dist" / "main.js"


@pytest.mark.timeout(240)
@NODE
async def test_the_typescript_runs_a_job_over_broken_connections_and_mends_a_wrong_form(
    api: Api, world: World, server: Listener, tmp_path: Path
) -> None:
    script = await asyncio.to_thread(compiled, tmp_path)
    given = {
        "address": f"http://127.0.0.1:{server.port}",
        "token": "irina",
        "project": world.project.path,
        "branch": BRANCH,
        "unknown": ids.global_id(ids.SAGA, "00000000-0000-4000-8000-000000000000"),
    }
    async with running(str(script), **given) as client, worker(world):
        told, cuts = await everything(client, server)
    assert cuts >= 1
    done = (await world.database.read(lambda c: c.fetchrow("SELECT status, version FROM saga"))) or {}
    assert done["status"] == "COMPLETED"
    shown = [message["shown"] for message in told if "shown" in message]
    assert [one["version"] for one in shown] == list(range(1, done["version"] + 1))
    assert (shown[-1]["type"], shown[-1]["fraction"]) == ("COMPLETED", 1)
    first, again, *_ = [message for message in told if "fields" in message]
    field = next(one for one in first["fields"] if one["path"] == ["cooling_water", "flow_kg_s"])
    assert (field["label"], field["unit"], field["min"], field["kind"]) == ("Flow", "kg/s", 500, "number")
    assert any("cooling_water" in wrong for wrong in again["wrong"]), "the wrong field is named"
    assert told[-2:] == [{"status": "COMPLETED"}, {"code": "NOT_FOUND", "remedy": "give up"}]


async def everything(client: Script, server: Listener) -> tuple[list[Any], int]:
    """All that the script tells; each third event that it shows breaks its websocket, and how often that was."""
    told: list[Any] = []
    cuts = 0
    while "code" not in (message := await client.tells()) and "strange" not in message:
        told.append(message)
        if "shown" in message and message["shown"]["version"] % 3 == 0:
            for connection in list(server.server.server_state.connections):
                if isinstance(connection, WebSocketConnection):
                    connection.transport.abort()
                    cuts += 1
    return [*told, message], cuts


@contextlib.asynccontextmanager
async def worker(world: World) -> AsyncIterator[None]:
    """Somebody who does the calculations of the one saga that there will be."""

    async def work() -> None:
        for name in (*FORMS, "balance"):
            await eventually(lambda name=name: awaits(world, name), timeout=120, what=f"{name} is asked for")  # type: ignore[misc]  # a default binds it
            row = await world.database.read(lambda c: c.fetchval("SELECT id FROM saga"))
            await world.work(row, name)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def awaits(world: World, calculation: str) -> bool:
    state = await world.database.read(lambda c: c.fetchval("SELECT state FROM saga"))
    return bool(state == f"AWAIT_{calculation.upper()}_RESULT")


@pytest.mark.timeout(240)
async def test_the_python_client_is_typed_and_runs_a_job(
    api: Api, world: World, server: Listener, tmp_path: Path
) -> None:
    ((name, text),) = files_of("python").items()
    script = tmp_path / name
    script.write_text(text, encoding="utf-8")
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), str(script)]
    checked = await asyncio.to_thread(subprocess.run, mypy, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout
    arguments = [f"http://127.0.0.1:{server.port}", "irina", world.project.path, BRANCH]
    async with worker(world):
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(script), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, err.decode()
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["version"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["status"] == "COMPLETED"


def test_every_code_that_the_service_can_answer_is_handled_on_the_page() -> None:
    handled = set(re.findall(r"^  ([A-Z_]+): \"", files_of("ts")["src/errors.ts"], re.MULTILINE))
    ours = {
        value for name, value in vars(errors).items() if name.isupper() and isinstance(value, str) and name == value
    }
    section = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("## Errors")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", section))
    assert ours | {trusted.NOT_FOUND, trusted.NOT_TRUSTED} <= handled
    assert len(documented) > 8
    assert documented - {code.value for code in RefusalCode} <= handled
    for code in RefusalCode:
        assert f'case "{code.value}":' in files_of("ts")["src/errors.ts"]

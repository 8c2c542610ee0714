"""The sequence diagram of the service description, "start of the Balance saga", replayed against the real parts.

Real PostgreSQL, GitLab's emulator as a process of its own, the service as `serve` makes it.
"""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from app.demo.sample import sample_files
from app.main import create_app
from app.settings import AuthMode, Settings
from sagas.store.database import Database
from tests.support_emulator import MAINTAINER, Emulator, EmulatorProject, EmulatorUser, start_emulator

BRANCH = "issue/1-condenser"


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    with start_emulator(tmp_path / "gitlab") as started:
        yield started


@pytest.fixture
def engineer(emulator: Emulator) -> EmulatorUser:
    return emulator.create_user("irina")


@pytest.fixture
def service(emulator: Emulator) -> EmulatorUser:
    return emulator.create_user("orchestrator")


@pytest.fixture
def project(emulator: Emulator, engineer: EmulatorUser, service: EmulatorUser) -> EmulatorProject:
    made = emulator.create_project(files=sample_files(), members={engineer.id: 30, service.id: MAINTAINER})
    emulator.api("POST", f"/projects/{made.id}/repository/branches?branch={BRANCH}&ref=main")
    return made


@pytest.fixture
async def http(
    database_url: str, emulator: Emulator, service: EmulatorUser, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        database_url=database_url,
        gitlab_url=emulator.url,
        gitlab_token=service.token,
        auth=AuthMode.GITLAB,
        data_dir=tmp_path,
        _env_file=None,
    )
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://orchestrator.test") as client,
    ):
        yield client


def place(log: list[dict[str, Any]], method: str, path: str, status: int) -> int:
    """Where in the log the first request of this kind stands."""
    for number, request in enumerate(log):
        if (request["method"], request["status"]) == (method, status) and path in unquote(request["path"]):
            return number
    raise AssertionError(f"no {method} {path} answered {status} in {[_short(one) for one in log]}")


def _short(request: dict[str, Any]) -> str:
    return f"{request['method']} {unquote(request['path'])} {request['status']}"


async def test_the_sequence_diagram_holds_step_by_step(
    http: httpx.AsyncClient,
    emulator: Emulator,
    project: EmulatorProject,
    engineer: EmulatorUser,
    database_url: str,
) -> None:
    before = emulator.requests_seen()[-1]["seq"]
    response = await http.post(
        "/saga/calculate-balance",
        json={"projectPath": project.path, "branch": BRANCH},
        headers={"Authorization": f"Bearer {engineer.token}"},
        timeout=30,
    )
    log = emulator.requests_seen(before)

    # 200 OK, {status: 'user_input_required', next_step: 'CONDENSER_CALCULATION'}
    assert response.status_code == 200
    answer = response.json()
    assert (answer["status"], answer["next_step"]) == ("user_input_required", "CONDENSER_CALCULATION")

    # GET /files/condenser_input.json → 404; GET /files/balance_input.json → its content; POST /commit → 201.
    checked = place(log, "GET", "/files/condenser_input.json", 404)
    read = place(log[checked:], "GET", "/files/balance_input.json", 200) + checked
    committed = place(log, "POST", "/repository/commits", 201)
    assert checked < read < committed
    assert sum(one["method"] != "GET" for one in log) == 1, "nothing else was written"
    file = json.loads(emulator.read_file(project.id, "condenser_input.json", BRANCH) or "null")
    source = json.loads(sample_files()["balance_input.json"])
    assert file["heat_duty_mw"] == source["condenser"]["heat_duty_mw"]

    # Save {id, step: 'CHECK_CONDENSER'} before GitLab is asked for the file; then {step: 'AWAIT_USER_CONDENSER_INPUT'}
    database = await Database.open(database_url, size=2)
    try:
        journal = await database.read(
            lambda c: c.fetch("SELECT * FROM saga_event WHERE saga_id = $1 ORDER BY version", answer["id"])
        )
        row = await database.read(lambda c: c.fetchrow("SELECT * FROM saga WHERE id = $1", answer["id"]))
    finally:
        await database.close()
    assert (journal[0]["type"], journal[0]["to_state"]) == ("STARTED", "CHECK_CONDENSER")
    assert journal[0]["occurred_at"].timestamp() < log[checked]["time"]
    assert [entry["to_state"] for entry in journal][-1] == "AWAIT_USER_CONDENSER_INPUT"
    assert journal[-1]["occurred_at"].timestamp() > log[committed]["time"]
    assert row is not None
    assert (row["state"], row["version"]) == (answer["state"], answer["version"])
    assert answer["state"] == "AWAIT_USER_CONDENSER_INPUT"

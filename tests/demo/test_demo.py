"""`orchestrator demo` as a user runs it."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from app.demo import documents
from app.demo.client import GraphQLClient, bare_id
from app.demo.sample import sample_files
from app.demo.scenario import play
from app.demo.seed import ENGINEER, PROJECT_PATH
from tests.demo.stack import RunningDemo, Witness, is_alive, running_demo
from tests.support import eventually

pytestmark = [pytest.mark.demo, pytest.mark.timeout(400), pytest.mark.xdist_group("demo")]


def run_once(data_dir: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
    command = [sys.executable, "-m", "app.cli", "demo", "--once", "--port", "0", "--data-dir", str(data_dir), *options]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=environment, cwd=data_dir
    )


def test_each_run_ends_with_the_address_of_a_merge_request_of_its_own(tmp_path: Path) -> None:
    runs = [run_once(tmp_path), run_once(tmp_path)]

    addresses = []
    for run in runs:
        assert run.returncode == 0, run.stdout + run.stderr
        assert "\x1b" not in run.stdout, "plain lines where there is no terminal"
        assert re.search(r"condenser pressure: \d+\.\d+ kPa", run.stdout)
        assert re.search(r"power: \d+\.\d+ MW", run.stdout)
        addresses.append(run.stdout.splitlines()[-1])
        assert re.fullmatch(rf"http://127\.0\.0\.1:\d+/{PROJECT_PATH}/-/merge_requests/\d+", addresses[-1])
    assert addresses[0] != addresses[1]
    assert not (tmp_path / "endpoints.json").exists(), "nothing answers there any more"


def test_a_run_that_cannot_work_says_why(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "cluster").mkdir(parents=True)
    (tmp_path / "postgres" / "cluster" / "PG_VERSION").write_text("9\n")
    run = run_once(tmp_path)
    assert run.returncode == 1
    assert "was made by PostgreSQL 9" in run.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


def test_endpoints_tell_where_everything_is(demo: RunningDemo) -> None:
    told = demo.endpoints()
    assert list(told) == ["console", "graphql", "gitlab", "gitlab_token", "database_url", "broker_url", "pids"]
    assert list(told["pids"]) == ["postgres", "gitlab", "api", "engine", "worker"]
    assert demo.all_alive()
    assert httpx.get(told["console"]).status_code == 200
    assert httpx.post(told["graphql"], json={"query": "{ viewer { username } }"}).json() == {
        "data": {"viewer": {"username": "irina.sokolova"}}
    }
    assert "orchestrator_build_info" in httpx.get(urljoin(told["console"], "/metrics")).text
    version = httpx.get(f"{told['gitlab']}/api/v4/version", headers={"PRIVATE-TOKEN": told["gitlab_token"]})
    assert version.status_code == 200
    assert demo.rows("SELECT 1") == [(1,)]
    assert (demo.data_dir / "endpoints.json").stat().st_mode & 0o077 == 0, "there are tokens in it"


def test_a_second_demo_on_the_same_data_is_refused_and_harms_nothing(demo: RunningDemo) -> None:
    run = run_once(demo.data_dir)
    assert run.returncode == 1
    assert f"Process {demo.process.pid} already runs everything in {demo.data_dir}" in run.stdout
    assert demo.all_alive()


async def test_git_shows_the_engineers_commits_and_the_workers_results(demo: RunningDemo, tmp_path: Path) -> None:
    async with GraphQLClient(demo.endpoints()["graphql"]) as client:
        finished = await play(client, demo.new_job(), Witness())
    clone = demo.clone(finished.branch, tmp_path / "clone")
    saga = bare_id(finished.saga_id)
    authors = clone.log(
        "%an|%(trailers:key=Saga-Id,valueonly,separator=)|%(trailers:key=Correlation-Id,valueonly,separator=)"
    )
    inputs = [line for line in authors if f"|{saga}|" in line]
    assert [line.split("|")[0] for line in inputs if line.startswith("Irina Sokolova")] == ["Irina Sokolova"] * 4
    assert len(authors) == 7
    assert len([line for line in authors if line.startswith("Balance+ worker||")]) == 3
    assert clone.document("condenser_output.json")["pressure_kpa"] == pytest.approx(finished.pressure_kpa)


async def test_ten_sagas_at_once_finish_and_the_api_answers_meanwhile(demo: RunningDemo) -> None:
    jobs = [demo.new_job() for _ in range(10)]
    waits: list[float] = []

    async def look_all_the_time(client: GraphQLClient) -> None:
        while True:
            began = time.monotonic()
            await client.execute("{ viewer { username } sagas(first: 20) { totalCount } }")
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.1)

    async with GraphQLClient(demo.endpoints()["graphql"]) as client:
        looking = asyncio.create_task(look_all_the_time(client))
        finished = await asyncio.gather(*(play(client, job, Witness()) for job in jobs))
        assert not looking.done(), "no question failed"
        looking.cancel()
    assert len({one.branch for one in finished}) == 10
    assert len({one.merge_request for one in finished}) == 10
    assert len({one.power_mw for one in finished}) == 1, "the same inputs give the same power"
    assert len(waits) > 10
    assert max(waits) < 10


async def test_a_project_that_somebody_adds_works_at_once(demo: RunningDemo) -> None:
    """As an outside test would set itself up: project, branch and the engineer's role through GitLab's REST alone."""
    ends = demo.endpoints()
    headers = {"PRIVATE-TOKEN": ends["gitlab_token"]}
    async with (
        httpx.AsyncClient(base_url=f"{ends['gitlab']}/api/v4", headers=headers) as rest,
        GraphQLClient(ends["graphql"]) as client,
    ):
        project = (await rest.post("/projects", json={"name": "guest plant"})).raise_for_status().json()
        engineer = (await rest.get("/users", params={"username": ENGINEER})).json()[0]
        actions = [{"action": "create", "file_path": path, "content": text} for path, text in sample_files().items()]
        for path, body in (
            ("members", {"user_id": engineer["id"], "access_level": 30}),
            ("repository/commits", {"branch": "main", "commit_message": "Bring data", "actions": actions}),
            ("repository/branches", {"branch": "case/one", "ref": "main"}),
        ):
            (await rest.post(f"/projects/{project['id']}/{path}", json=body)).raise_for_status()
        started = await client.execute(
            """mutation ($project: ID!) {
                 startBalanceCalculation(input: {projectPath: $project, branch: "case/one"}) {
                   saga { id } userErrors { code message } } }""",
            {"project": project["path_with_namespace"]},
        )
        assert started["startBalanceCalculation"]["userErrors"] == []
        saga = started["startBalanceCalculation"]["saga"]["id"]

        async def form() -> dict[str, Any] | None:
            answer = await client.execute(
                "query ($id: ID!) { saga(id: $id) { state error { message } pendingInput { step draft } } }",
                {"id": saga},
            )
            assert answer["saga"]["error"] is None
            waiting: dict[str, Any] | None = answer["saga"]["pendingInput"]
            return waiting

        pending = await eventually(form, timeout=30)
        assert pending["step"] == "AWAIT_USER_CONDENSER_INPUT"
        await client.execute(
            """mutation ($id: ID!, $step: String!, $values: JSON!) {
                 advanceSaga(input: {sagaId: $id, step: $step, values: $values}) { userErrors { message } } }""",
            {"id": saga, "step": pending["step"], "values": pending["draft"]},
        )

        async def next_form() -> bool:
            # Nobody told this project about the webhook: the result is found by looking.
            waiting = await form()
            return waiting is not None and waiting["step"] == "AWAIT_USER_FEEDWATER_HEATERS_INPUT"

        await eventually(next_form, timeout=60)


@pytest.mark.crash
async def test_the_next_demo_goes_on_where_a_killed_one_was(tmp_path: Path) -> None:
    with running_demo(tmp_path) as first:
        pids = list(first.endpoints()["pids"].values())
        job = first.new_job()
        half_way = asyncio.Event()
        witness = Witness(lambda number: half_way.set() if number == 9 else None)
        async with GraphQLClient(first.endpoints()["graphql"]) as client:
            story = asyncio.create_task(play(client, job, witness))
            await asyncio.wait_for(half_way.wait(), 120)
            first.process.kill()
            story.cancel()
            await asyncio.wait({story})
    await eventually(lambda: not any(is_alive(pid) for pid in pids), timeout=30, what="the children end by themselves")
    (tmp_path / "endpoints.json").unlink()

    with running_demo(tmp_path) as second:
        sagas = second.rows("SELECT id::text FROM saga WHERE definition_name = 'balance'")
        assert len(sagas) == 1
        async with GraphQLClient(second.endpoints()["graphql"]) as client:
            finished = await play(client, job, Witness())
        assert bare_id(finished.saga_id) == sagas[0][0], "the same saga went on"


def orchestrator(demo: RunningDemo, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
    command = [sys.executable, "-m", "app.cli", *arguments]
    environment |= {"ORCHESTRATOR_DATA_DIR": str(demo.data_dir), "COLUMNS": "250"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_sagas_can_be_looked_at_and_cancelled_from_the_command_line(demo: RunningDemo) -> None:
    job = demo.new_job()
    async with GraphQLClient(demo.endpoints()["graphql"]) as client:
        given = {"projectPath": job.project_path, "issueIid": job.iid}
        saga = bare_id((await client.mutate(documents.START, "startBalanceCalculation", given))["saga"]["id"])

    def waits() -> bool:
        assert "AWAITING_INPUT in AWAIT_USER_CONDENSER_INPUT" in orchestrator(demo, "sagas", "show", saga)
        return True

    await eventually(waits, timeout=60)
    assert saga in orchestrator(demo, "sagas", "list", "--status", "awaiting_input", "--project", PROJECT_PATH)
    assert orchestrator(demo, "sagas", "cancel", saga, "--reason", "only a try").startswith("CANCELL")
    told = orchestrator(demo, "sagas", "watch", saga).splitlines()
    assert [int(line.split()[0]) for line in told] == list(range(1, len(told) + 1))
    assert "CANCELLED" in told[-1]
    (branch,) = demo.rows("SELECT branch FROM saga WHERE id = %s", saga)[0]
    names = [found.name for found in demo.gitlab().projects.get(PROJECT_PATH).branches.list(get_all=True)]
    assert branch not in names, "what the saga had made is undone"


def test_doctor_finds_the_demo_in_good_health(demo: RunningDemo) -> None:
    told = demo.endpoints()
    secrets = json.loads((demo.data_dir / "secrets.json").read_text())
    settings = {
        "DATABASE_URL": told["database_url"],
        "GITLAB_URL": told["gitlab"],
        "GITLAB_TOKEN": secrets["service_token"],
        "GITLAB_WEBHOOK_SECRET": secrets["webhook_secret"],
        "PUBLIC_URL": told["console"],
    }
    environment = os.environ | {f"ORCHESTRATOR_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "app.cli", "doctor", "--project", PROJECT_PATH]

    def doctor(*options: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *options], capture_output=True, text=True, check=False, env=environment | more, timeout=60
        )

    healthy = doctor()
    assert healthy.returncode == 0, healthy.stdout + healthy.stderr
    assert f"ok       webhook of {PROJECT_PATH}: " in healthy.stdout

    elsewhere = {"ORCHESTRATOR_PUBLIC_URL": "http://127.0.0.1:9"}
    assert f"MISSING  webhook of {PROJECT_PATH}: to http://127.0.0.1:9/webhooks/gitlab" in doctor(**elsewhere).stdout
    assert doctor("--fix-hooks", **elsewhere).returncode == 0
    assert doctor(**elsewhere).returncode == 0

    worker = doctor(ORCHESTRATOR_GITLAB_TOKEN=secrets["worker_token"])
    assert worker.returncode == 1
    assert "needs the scope api" in worker.stdout

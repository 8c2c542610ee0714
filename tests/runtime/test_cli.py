"""The command: quick to help, plain about what is wrong."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.commands import app
from app.cli.tables import saga_table
from app.demo.client import bare_id, saga_global_id
from app.demo.documents import in_words
from app.doctor import SOON, judge_token
from app.logs import JsonFormatter, TextFormatter
from sagas.models import Saga, SagaStatus
from sagas.store.database import Database
from tests.store import rows
from tests.support_emulator import free_port

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 11, 23)


def orchestrator(*arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
    command = [sys.executable, "-m", "app.cli", *arguments]
    environment = clean | {f"ORCHESTRATOR_{name}": value for name, value in settings.items()}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment, cwd=cwd)


def test_help_loads_neither_web_nor_database_nor_celery(tmp_path: Path) -> None:
    """That is what makes it answer at once; how soon, the benchmark `memory` measures."""
    heavy = ["fastapi", "sqlalchemy", "celery", "strawberry", "gitlab", "pydantic", "httpx", "rich"]
    asked = f"""
import runpy, sys
sys.argv = ["orchestrator", "--help"]
try:
    runpy.run_module("app.cli", run_name="__main__")
except SystemExit as end:
    print(end.code, [name for name in {heavy} if name in sys.modules])
"""
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "Usage:" in told.stdout
    assert told.stdout.splitlines()[-1] == "0 []"


@pytest.mark.parametrize(
    "command",
    [(), ("demo",), ("serve",), ("engine",), ("doctor",), ("gitlab-emulator",), ("sagas",), ("sagas", "watch")],
)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


@pytest.mark.parametrize("command", ["serve", "engine", "migrate", "doctor", "demo-worker"])
def test_missing_settings_are_named_without_a_trace(command: str, tmp_path: Path) -> None:
    result = orchestrator(command, cwd=tmp_path)
    assert result.returncode == 2
    assert "ORCHESTRATOR_DATABASE_URL is not set." in result.stderr
    assert "docs/settings.md" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_demo_user_is_refused_for_an_address_that_others_reach(tmp_path: Path) -> None:
    settings = {
        "DATABASE_URL": "postgresql://me:pw@127.0.0.1/x",
        "GITLAB_URL": "http://127.0.0.1:1",
        "GITLAB_TOKEN": "hush-hush",
    }
    result = orchestrator("serve", "--host", "0.0.0.0", cwd=tmp_path, **settings)
    assert result.returncode == 2
    assert "ORCHESTRATOR_HOST (0.0.0.0)" in result.stderr
    assert "hush-hush" not in result.stderr + result.stdout


def test_once_and_no_scenario_exclude_each_other(tmp_path: Path) -> None:
    result = orchestrator("demo", "--once", "--no-scenario", cwd=tmp_path)
    assert result.returncode == 2
    assert "give one of them" in result.stderr
    assert not (tmp_path / ".orchestrator").exists()


def test_schema_prints_what_is_committed(tmp_path: Path) -> None:
    printed = orchestrator("schema", cwd=tmp_path)
    assert printed.stdout.strip() == (ROOT / "schema" / "schema.graphql").read_text(encoding="utf-8").strip()


def test_sagas_says_that_no_server_answers(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/graphql"
    result = orchestrator("sagas", "list", "--url", url, cwd=tmp_path)
    assert result.returncode == 1
    assert f"{url} does not answer" in result.stderr


def test_stuck_lists_what_does_not_move_and_says_so_by_its_status(database_url: str, tmp_path: Path) -> None:
    quiet = orchestrator("sagas", "stuck", cwd=tmp_path, DATABASE_URL=database_url)
    assert (quiet.returncode, quiet.stdout) == (0, "")
    saga = rows.saga(status=SagaStatus.RUNNING, state="DISPATCH_CONDENSER", branch="issue/7")
    asyncio.run(_insert(database_url, saga))
    told = orchestrator("sagas", "stuck", cwd=tmp_path, DATABASE_URL=database_url)
    assert told.returncode == 1
    (line,) = told.stdout.splitlines()
    assert line.startswith(f"{saga.id}  NOBODY_WAKES_IT  ")
    assert "RUNNING in DISPATCH_CONDENSER: nobody will wake it" in line
    assert "issue/7" in line


def test_the_archive_takes_what_finished_long_ago_and_gives_it_back(database_url: str, tmp_path: Path) -> None:
    old = rows.saga(status=SagaStatus.COMPLETED, finished_at=rows.EPOCH - timedelta(days=800))
    asyncio.run(_insert(database_url, old))

    def told(*arguments: str, **settings: str) -> str:
        done = orchestrator("sagas", *arguments, cwd=tmp_path, DATABASE_URL=database_url, **settings)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert told("archive", "--dry-run") == "balance: 1 to archive"
    assert told("archive", RETENTION_DAYS_OF='{"balance": 36500}') == "balance: 0 archived"
    assert told("archive", "--older-than", "36500") == "balance: 0 archived"
    assert told("archive") == "balance: 1 archived"
    assert told("archive", "--dry-run") == "balance: 0 to archive"
    assert told("unarchive") == "1 brought back"
    refused = orchestrator("sagas", "archive", cwd=tmp_path, DATABASE_URL=database_url, RETENTION_DAYS="3")
    assert refused.returncode == 2
    assert "ORCHESTRATOR_RETENTION_DAYS: input should be greater than or equal to 30." in refused.stderr


async def _insert(database_url: str, saga: Saga) -> None:
    database = await Database.open(database_url, size=1)
    await rows.insert(database.engine, [rows.definition(), saga])
    await database.close()


def test_stuck_asks_the_running_demos_database_and_says_where_it_cannot_ask(tmp_path: Path) -> None:
    unset = orchestrator("sagas", "stuck", "--data-dir", str(tmp_path), cwd=tmp_path)
    assert unset.returncode == 2
    assert "ORCHESTRATOR_DATABASE_URL is not set." in unset.stderr
    gone = {"database_url": f"postgresql://me:hush-hush@127.0.0.1:{free_port()}/x"}
    (tmp_path / "endpoints.json").write_text(json.dumps(gone))
    away = orchestrator("sagas", "stuck", "--data-dir", str(tmp_path), cwd=tmp_path)
    assert (away.returncode, away.stdout) == (2, "")
    assert "database does not answer" in away.stderr
    assert "hush-hush" not in away.stderr


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("engine",), ("migrate",)])
def test_a_database_that_is_away_is_told_in_words_and_nothing_starts(command: tuple[str, ...], tmp_path: Path) -> None:
    settings = {
        "DATABASE_URL": f"postgresql://me:hush-hush@127.0.0.1:{free_port()}/x",
        "GITLAB_URL": f"http://127.0.0.1:{free_port()}",
        "GITLAB_TOKEN": "hush-hush",
    }
    result = orchestrator(*command, cwd=tmp_path, **settings)
    assert result.returncode == 1
    assert "The database does not answer: " in result.stderr
    assert "mend ORCHESTRATOR_DATABASE_URL" in result.stderr
    assert "Traceback" not in result.stderr
    assert "hush-hush" not in result.stdout + result.stderr


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("engine",)])
def test_a_database_that_was_never_migrated_is_told_with_what_helps(
    command: tuple[str, ...], empty_database_url: str, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": empty_database_url, "GITLAB_URL": "http://127.0.0.1:9", "GITLAB_TOKEN": "x"}
    result = orchestrator(*command, cwd=tmp_path, **settings)
    assert result.returncode == 1
    assert "run `orchestrator migrate`" in result.stderr
    assert "Traceback" not in result.stderr


def test_doctor_says_what_is_away_and_ends_non_zero(tmp_path: Path) -> None:
    settings = {
        "DATABASE_URL": f"postgresql://me:pw@127.0.0.1:{free_port()}/x",
        "GITLAB_URL": f"http://127.0.0.1:{free_port()}",
        "GITLAB_TOKEN": "hush-hush",
    }
    result = orchestrator("doctor", cwd=tmp_path, **settings)
    assert result.returncode == 1
    for what in ("database", "broker", "GitLab"):
        assert f"MISSING  {what}: " in result.stdout
    assert "Connection refused. Start" in result.stdout or "Connect call failed" in result.stdout
    assert "mend ORCHESTRATOR_DATABASE_URL" in result.stdout
    assert result.stderr == "", "what is away is told once, as a finding"
    assert "ok       catalogue: knows condenser, feedwater_heaters, balance." in result.stdout
    assert "hush-hush" not in result.stdout


@pytest.mark.parametrize(
    ("active", "scopes", "expires_at", "words"),
    [
        (False, ("api",), None, "is revoked or has expired"),
        (True, ("read_api", "read_user"), None, "needs the scope api and has read_api, read_user"),
        (True, (), None, "has none"),
        (True, ("api",), TODAY + SOON, "expires on 2026-12-07"),
    ],
)
def test_a_token_that_will_not_do_is_described(
    active: bool, scopes: tuple[str, ...], expires_at: date | None, words: str
) -> None:
    finding = judge_token(active=active, scopes=scopes, expires_at=expires_at, today=TODAY)
    assert not finding.fine
    assert words in finding.text
    assert "ORCHESTRATOR_GITLAB_TOKEN" in finding.text


@pytest.mark.parametrize("expires_at", [None, TODAY + SOON + timedelta(days=1)])
def test_a_good_token_is_fine(expires_at: date | None) -> None:
    assert judge_token(active=True, scopes=("api",), expires_at=expires_at, today=TODAY).fine


def test_a_bare_uuid_stands_for_the_apis_id() -> None:
    bare = "7d0b0a3e-6c2b-4d0e-9a55-0c6c1f3b8a11"
    known = saga_global_id(bare)
    assert known != bare
    assert bare_id(known) == bare
    assert saga_global_id(known) == known, "the API's own id is taken as it is"


def test_an_event_of_a_kind_to_come_is_shown_too() -> None:
    assert in_words({"type": "MOON_ROSE", "toState": "CHECK_CONDENSER", "data": {}}) == (
        "moon rose: CHECK_CONDENSER",
        "",
    )


def test_a_cancellation_tells_who_asked_and_each_thing_that_was_undone() -> None:
    event = {"type": "CANCEL_REQUESTED", "toState": "S", "actor": "Irina", "data": {"reason": "a wrong issue"}}
    assert in_words(event) == ("cancel requested: S", "a wrong issue, by Irina")
    data = {"step": "HYDRATE_CONDENSER/1", "file": "condenser_input.json", "sha": "0123456789"}
    undone = {"type": "UNDONE", "toState": "S", "actor": "engine", "data": data}
    assert in_words(undone) == ("undone: HYDRATE_CONDENSER/1", "01234567 condenser_input.json")
    kept = {
        "type": "UNDO_REFUSED",
        "toState": "S",
        "actor": "engine",
        "data": {"branch": "issue/1", "reason": "not ours"},
    }
    assert in_words(kept) == ("not undone: the branch", "issue/1, not ours")


def record(**extra: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "app.test", "levelname": "INFO", "msg": "step %s", "args": ("done",), **extra}
    )


def test_without_a_terminal_a_saga_is_one_line_with_its_whole_id(capsys: pytest.CaptureFixture[str]) -> None:
    saga = {
        "id": saga_global_id("7c4235e6-81b9-43db-9ecd-b21b865bd91d"),
        "definition": {"name": "balance"},
        "status": "AWAITING_RESULT",
        "state": "AWAIT_FEEDWATER_HEATERS_RESULT",
        "progress": {"fraction": 0.5},
        "projectPath": "power/plant-300",
        "branch": "issue/1-" + "long-" * 30,
    }
    saga_table({"edges": [{"node": saga}], "totalCount": 1})
    (_, row, _) = capsys.readouterr().out.splitlines()
    assert row.split() == [
        "7c4235e6-81b9-43db-9ecd-b21b865bd91d",
        "balance",
        "AWAITING_RESULT",
        "AWAIT_FEEDWATER_HEATERS_RESULT",
        "50%",
        "power/plant-300",
        saga["branch"],
    ]


def test_json_logs_carry_what_was_given_beside_the_message() -> None:
    entry = json.loads(JsonFormatter().format(record(saga_id="42", correlation_id="c")))
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "INFO",
        "logger": "app.test",
        "message": "step done",
        "saga_id": "42",
        "correlation_id": "c",
    }


def test_text_logs_carry_it_too() -> None:
    assert TextFormatter().format(record(saga_id="42")).endswith("app.test: step done saga_id=42")

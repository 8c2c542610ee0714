"""NF-ORCH-1, NF-ORCH-2: a process that dies at any of its crash points is followed by one that ends the job alike."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from sagas.faults import ENVIRONMENT_VARIABLE, POINTS
from tests.crashes.plan import Plan, Scenario, read
from tests.crashes.stand_in_worker import working
from tests.support_emulator import MAINTAINER, Emulator, start_emulator
from tests.support_postgres import TestServer

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
KILLED = -9
IN_CANCELLED = (
    "broker.revoke",
    "database.remember",
    "database.stop",
    "gitlab.delete_branch",
    "gitlab.undo_commit",
)


LATER_PASSES = (
    "announce.before:6",
    "broker.publish.after:3",
    "database.record.after:12",
    "database.record.before:6",
    "gitlab.create_commit.after:2",
    "gitlab.undo_commit.after:2",
)
"""Beside the first pass of each point: the same places later on the way, where there is more to take over."""


def scenario_of(armed: str) -> Scenario:
    """The scenario that passes the point."""
    point = armed.partition(":")[0]
    return Scenario.CANCELLED if point.rpartition(".")[0] in IN_CANCELLED else Scenario.WHOLE


@dataclass(frozen=True)
class End:
    """What a run has left behind: everything that must not depend on where a process died."""

    journals: dict[str, list[tuple[str, str | None, str, str]]]
    """By definition; without failed attempts, whose number is the faults' own."""
    effects: Counter[str]
    """The `Saga-Step` trailers of the branch's commits."""
    tasks: list[tuple[str, int, str]]
    published: int
    """How many different task ids were published."""
    merge_requests: list[tuple[str, str]]
    files: dict[str, str | None]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with start_emulator(tmp_path_factory.mktemp("gitlab")) as running:
        yield running


class Stage:
    """One project, one database, one folder of messages: where a scenario is played."""

    def __init__(self, emulator: Emulator, database_url: str, folder: Path, scenario: Scenario) -> None:
        self.emulator = emulator
        self.database_url = database_url
        self.folder = folder
        name = uuid4().hex[:10]
        service, colleague, self.worker = (
            emulator.create_user(f"{role}-{name}") for role in ("orchestrator", "pavel", "worker")
        )
        balance = json.dumps({"condenser": {"load": 3}}, indent=2) + "\n"
        self.project = emulator.create_project(
            f"unit-{name}",
            files={"balance_input.json": balance},
            members=dict.fromkeys((service.id, colleague.id, self.worker.id), MAINTAINER),
        )
        issue = emulator.api("POST", f"/projects/{self.project.id}/issues", {"title": "New tubes"})
        self.plan = Plan(
            scenario,
            database_url,
            emulator.url,
            service.token,
            colleague.token,
            self.project.id,
            self.project.path,
            issue["iid"],
            folder,
        )

    def play(self, *, crash_at: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the process until it has played its scenario, or died."""
        environment = {name: value for name, value in os.environ.items() if name != ENVIRONMENT_VARIABLE}
        if crash_at is not None:
            environment[ENVIRONMENT_VARIABLE] = crash_at
        command = [sys.executable, "-m", "tests.crashes.service_process", self.plan.to_json()]
        with ExitStack() as stack:
            if self.plan.scenario is not Scenario.CANCELLED:
                stack.enter_context(working(self.emulator, self.project.id, self.worker.token, self.folder))
            return subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
            )

    def end(self) -> End:
        """What is there now."""
        branch = "issue/1-new-tubes"
        with psycopg.connect(self.database_url) as connection:
            journals: dict[str, list[tuple[str, str | None, str, str]]] = {}
            for definition, *entry in connection.execute(
                "SELECT definition_name, type, from_state, to_state, saga_event.status FROM saga_event"
                " JOIN saga ON saga.id = saga_id WHERE type <> 'ATTEMPT_FAILED' ORDER BY created_at, saga_id, saga_event.version"
            ):
                journals.setdefault(definition, []).append((entry[0], entry[1], entry[2], entry[3]))
            tasks = connection.execute(
                "SELECT state, visit, status FROM calculation_task ORDER BY created_at"
            ).fetchall()
        branches = {found["name"] for found in self._get("/repository/branches")}
        there = branch in branches
        commits = self._get(f"/repository/commits?ref_name={branch}&trailers=true&per_page=100") if there else []
        names = [
            f"{c}_{part}.json" for c in ("condenser", "feedwater_heaters", "balance") for part in ("input", "output")
        ]
        return End(
            journals,
            Counter(c["trailers"]["Saga-Step"] for c in commits if "Saga-Step" in c["trailers"]),
            [(state, visit, status) for state, visit, status in tasks],
            len({message["id"] for message in read(self.folder / "outbox")}),
            [(found["source_branch"], found["state"]) for found in self._get("/merge_requests?state=all")],
            {name: self.emulator.read_file(self.project.id, name, branch) if there else None for name in names},
        )

    def _get(self, path: str) -> Any:
        return self.emulator.api("GET", f"/projects/{self.project.id}{path}")


@pytest.fixture(scope="module")
def undisturbed(
    postgres: TestServer, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> dict[Scenario, End]:
    """How each scenario ends where nothing dies."""
    ends = {}
    for scenario in Scenario:
        with postgres.database() as url:
            stage = Stage(emulator, url, tmp_path_factory.mktemp("quiet"), scenario)
            played = stage.play()
            assert played.returncode == 0, played.stderr
            ends[scenario] = stage.end()
    return ends


def test_the_undisturbed_runs_are_whole(undisturbed: dict[Scenario, End]) -> None:
    """What the others are held against is what the scenarios promise."""
    whole, cancelled = undisturbed[Scenario.WHOLE], undisturbed[Scenario.CANCELLED]
    assert whole.effects == Counter(
        f"{step}/1"
        for step in (
            "HYDRATE_CONDENSER",
            "COMMIT_CONDENSER_INPUT",
            "HYDRATE_FEEDWATER_HEATERS",
            "COMMIT_FEEDWATER_HEATERS_INPUT",
        )
    )
    assert whole.published == len(whole.tasks) == 3
    assert whole.merge_requests == [("issue/1-new-tubes", "opened")]
    assert None not in whole.files.values()
    assert [entry[0] for entry in cancelled.journals["balance"]][-4:] == ["UNDONE", "UNDONE", "UNDONE", "CANCELLED"]
    assert set(cancelled.files.values()) == {None}
    assert cancelled.merge_requests == [("issue/1-new-tubes", "closed")]


@pytest.mark.parametrize("point", [*POINTS, *LATER_PASSES])
def test_a_process_that_dies_is_followed_by_one_that_ends_the_job_alike(
    point: str, database_url: str, emulator: Emulator, tmp_path: Path, undisturbed: dict[Scenario, End]
) -> None:
    scenario = scenario_of(point)
    stage = Stage(emulator, database_url, tmp_path, scenario)
    died = stage.play(crash_at=point)
    assert died.returncode == KILLED, f"the scenario does not pass {point}:\n{died.stderr}"
    ended = stage.play()
    assert ended.returncode == 0, ended.stderr
    assert stage.end() == undisturbed[scenario]

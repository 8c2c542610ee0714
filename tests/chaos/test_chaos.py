"""`make chaos` in its short form: a real run over the real processes, judged, and the judge put to the test with it."""

import copy
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.checker import violations
from tests.chaos.evidence import Evidence
from tests.chaos.history import Answered, Back, FaultsMet, Killed
from tests.chaos.plants import lies
from tests.chaos.run import EVIDENCE
from tests.chaos.stack import ROOT, has_rabbitmq
from tests.support_postgres import data_directory

pytestmark = [pytest.mark.alone, pytest.mark.crash, pytest.mark.demo, pytest.mark.timeout(420)]

SEED = os.environ.get("ORCHESTRATOR_TEST_CHAOS_SEED", "20")
SHORT = ("--sagas", "120", "--balance", "12", "--seconds", "40", "--pause", "3", "8", "--engines", "2")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the run keeps everything."""
    with data_directory() as base:
        yield base / "run"


def test_a_short_run_loses_nothing_does_nothing_twice_and_tells_its_seed(folder: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos", *SHORT, "--seed", SEED, "--keep", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    *_, judged, seed = done.stdout.splitlines()
    assert judged.split() == ["violations", "0"]
    assert f"--seed {SEED} " in seed
    evidence = recorded(folder)
    assert Counter(row.definition for row in evidence.sagas if row.status in {"COMPLETED", "CANCELLED"}).items() >= {
        ("balance", 12),
        ("calculation_engine_only", 120),
    }
    kills = [record for record in evidence.history if isinstance(record, Killed)]
    broker = {"broker"} if has_rabbitmq() else set()
    assert {kill.kind for kill in kills} == {"api", "engine", "worker", "gitlab", "postgres"} | broker
    back = [record for record in evidence.history if isinstance(record, Back)]
    assert {kill.process for kill in kills} <= {record.process for record in back if record.at > kills[0].at}
    assert sum(record.requests for record in evidence.history if isinstance(record, FaultsMet)) > 10
    assert sum(isinstance(record, Answered) for record in evidence.history) >= 12 + 120


def test_lies_planted_in_the_recorded_run_are_found(folder: Path) -> None:
    if not (folder / EVIDENCE).exists():
        pytest.skip("the run, of which this needs the recording, did not end")
    evidence = recorded(folder)
    missed = []
    for rule, lie in lies():
        told = copy.deepcopy(evidence)
        lie(told)
        if not any(found.startswith(f"{rule}: ") for found in violations(told)):
            missed.append(lie.__name__)
    assert missed == []


def recorded(folder: Path) -> Evidence:
    evidence = pickle.loads((folder / EVIDENCE).read_bytes())
    assert isinstance(evidence, Evidence)
    return evidence

"""Reads the evidence of a run: PostgreSQL by plain SQL, repositories by git, GitLab by HTTP, the queue by AMQP or SQL.

What is stuck is asked by the operator's own command; the checker's other rules do not depend on its answer.
"""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from kombu.connection import Connection

from tests.chaos.evidence import (
    DraftRow,
    EventRow,
    Evidence,
    FileChange,
    GitCommit,
    MergeRequestRow,
    SagaRow,
    TaskRow,
)
from tests.chaos.history import read

_NOTHING = "0" * 40
_QUEUE = "balance.calculations"
_SAGAS = """
SELECT id::text, definition_name, definition_version, state, status, version, project_id, branch,
       lease_token IS NOT NULL AND due_at IS NOT NULL, coalesce(error::text, '') FROM saga
"""
_EVENTS = "SELECT saga_id::text, version, type, from_state, to_state, status, data FROM saga_event"
_TASKS = "SELECT id::text, saga_id::text, state, visit, status, published_at IS NOT NULL FROM calculation_task"
_DRAFTS = "SELECT saga_id::text, state, visit, blob_id FROM draft"
_CHARTS = "SELECT name, version, document -> 'transitions' FROM saga_definition"
_REPORTS = "SELECT task_id FROM celery_taskmeta"


@dataclass(frozen=True, slots=True)
class Places:
    """Where the evidence is."""

    tape: Path
    database_url: str
    gitlab_url: str
    gitlab_token: str
    repositories: Path
    projects: dict[str, int]
    """Path to id of the projects that have a repository."""
    broker_url: str = ""


def collect(places: Places) -> Evidence:
    """Everything there is now; what PostgreSQL, git or GitLab raise where one of them is away."""
    evidence = Evidence(history=list(read(places.tape)), projects=dict(places.projects))
    with psycopg.connect(places.database_url) as connection:
        evidence.sagas = [SagaRow(*row) for row in connection.execute(_SAGAS)]
        evidence.events = [EventRow(*row) for row in connection.execute(_EVENTS)]
        evidence.tasks = [TaskRow(*row) for row in connection.execute(_TASKS)]
        evidence.drafts = [DraftRow(*row) for row in connection.execute(_DRAFTS)]
        for name, version, edges in connection.execute(_CHARTS):
            evidence.charts[name, version] = frozenset((source, target) for source, _, target in edges)
        if connection.execute("SELECT to_regclass('celery_taskmeta')").fetchone() != (None,):
            evidence.reported = [str(task) for (task,) in connection.execute(_REPORTS)]
    for project in places.projects.values():
        evidence.commits += commits(places.repositories / f"{project}.git", project)
        evidence.merge_requests += _merge_requests(places, project)
    evidence.queued = queued(places)
    evidence.stuck = stuck(places.database_url)
    return evidence


def stuck(database_url: str) -> list[str]:
    """What the operator's command lists, asked as an operator asks it; raises where it cannot tell."""
    command = [sys.executable, "-m", "app.cli", "sagas", "stuck"]
    environment = {**os.environ, "ORCHESTRATOR_DATABASE_URL": database_url}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if told.returncode not in {0, 1}:
        raise RuntimeError(f"`orchestrator sagas stuck` could not tell: {told.stderr}")
    return told.stdout.splitlines()


# One record a commit, then a line for each file: ":<modes> <blob before> <blob after> <what>\t<path>".
_FORMAT = (
    "%x01%H%x00%(trailers:key=Saga-Id,valueonly,separator=%x20)%x00%(trailers:key=Saga-Step,valueonly,separator=%x20)"
    "%x00%(trailers:key=Correlation-Id,valueonly,separator=%x20)%x00"
)
_CHANGED = re.compile(r":\d+ \d+ (?P<before>[0-9a-f]{40}) (?P<after>[0-9a-f]{40}) \w+\t(?P<path>.+)")


def commits(repository: Path, project: int) -> Iterator[GitCommit]:
    """Every commit that a branch reaches, with the files it changed."""
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "-c",
        "core.quotePath=off",
        "-C",
        str(repository),
        "log",
        "--branches",
        "--root",
        "--raw",
    ]
    command += ["--no-abbrev", "--no-renames", f"--format={_FORMAT}"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for part in told.split("\x01")[1:]:
        sha, saga, step, task, files = part.split("\0", 4)
        changes = tuple(
            FileChange(found["path"], _blob(found["before"]), _blob(found["after"]))
            for found in _CHANGED.finditer(files)
        )
        yield GitCommit(project, sha, changes, saga.strip(), step.strip(), task.strip())


def _blob(name: str) -> str | None:
    return None if name == _NOTHING else name


def _merge_requests(places: Places, project: int) -> Iterator[MergeRequestRow]:
    page = "1"
    while page:
        address = f"{places.gitlab_url}/api/v4/projects/{project}/merge_requests?state=all&per_page=100&page={page}"
        call = urllib.request.Request(address, headers={"PRIVATE-TOKEN": places.gitlab_token})
        with urllib.request.urlopen(call, timeout=60) as answer:
            found: list[dict[str, Any]] = json.loads(answer.read())
            page = answer.headers.get("X-Next-Page") or ""
        for request in found:
            yield MergeRequestRow(
                project, request["iid"], request["source_branch"], request["target_branch"], request["state"]
            )


def queued(places: Places) -> int:
    """The messages that wait in the workers' queue."""
    if not places.broker_url.startswith("amqp:"):
        with psycopg.connect(places.database_url) as connection:
            exists = connection.execute("SELECT to_regclass('pgmq.meta')").fetchone()
            if exists == (None,):
                return 0
            count = "SELECT coalesce(sum(queue_length), 0)::int FROM pgmq.metrics_all()"
            row = connection.execute(count).fetchone()
            return 0 if row is None else int(row[0])
    connect: Callable[..., Connection] = Connection  # kombu is not typed
    with connect(places.broker_url, connect_timeout=10) as broker:
        return int(broker.default_channel.queue_declare(_QUEUE, passive=True).message_count)

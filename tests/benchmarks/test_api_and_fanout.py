"""The benchmarks of the API and of the fan-out run and print what they promise; how fast they are is nobody's business here."""

import json
import subprocess
import sys
from typing import Any

import httpx
import pytest

from sagas.models import SagaStatus
from tests.app.api import saga_id, serving
from tests.benchmarks.api import ASKED
from tests.benchmarks.api_documents import STEP, Asked
from tests.benchmarks.api_newcomer import newcomer
from tests.benchmarks.api_server import _user
from tests.world import new_world

FIELDS = {"benchmark", "metric", "value", "unit", "floor", "ratio"}


def figures(*arguments: str) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "-m", *arguments, "--rounds", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(set(line) >= FIELDS for line in lines)
    return {line["metric"]: line for line in lines}


def test_every_subscriber_is_told_every_event() -> None:
    found = figures("tests.benchmarks.fanout", "--subscribers", "6", "--events-per-second", "20", "--seconds", "1")
    for what in ("one_saga", "many_sagas"):
        assert found[f"{what}_at_20_lost"]["value"] == 0
        assert found[f"{what}_at_20_delivered"]["value"] == 1
        assert found[f"{what}_at_20_p99_ms"]["value"] > 0
    assert found["deliveries_per_second"]["ratio"] > 0


def test_each_kind_of_request_has_its_figures_beside_both_floors() -> None:
    found = figures("tests.benchmarks.api", "--seconds", "0.1", "--connections", "2", "--sagas", "10")
    for what in ("saga_by_id", "page_of_50", "start", "advance"):
        assert found[f"{what}_per_second"]["ratio"] > 0
        assert found[f"{what}_per_second_to_strawberry_as_shipped"]["ratio"] > 0
        assert found[f"{what}_per_second_to_strawberry_by_a_newcomer"]["ratio"] > 0
        assert found[f"{what}_p99_ms"]["floor"] > 0


def comparable(answer: Any) -> Any:
    """The answer without what differs from saga to saga and with one way of writing UTC."""
    if isinstance(answer, dict):
        return {name: comparable(value) for name, value in answer.items() if name not in {"id", "branch"}}
    if isinstance(answer, list):
        return [comparable(item) for item in answer]
    return answer.replace("+00:00", "Z") if isinstance(answer, str) else answer


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.name)
async def test_the_newcomers_api_answers_the_same_document_alike(asked: Asked, database_url: str) -> None:
    async with new_world(database_url) as world:
        rows = []
        for number in range(1, 5):
            world.forge.add_branch(world.project, f"issue/{number}-bench")
        async with world.running():
            for number in (1, 2):
                rows.append(await world.start(f"issue/{number}-bench"))
                await world.reaches(rows[-1].id, STEP, SagaStatus.AWAITING_INPUT)
        async with serving(world, engine=False) as api:
            answers = []
            for number, app in enumerate((api.app, newcomer(api.services, _user))):
                # What changes a saga gets one of its own.
                saga = rows[number if asked.mutation else 0]
                transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
                async with httpx.AsyncClient(transport=transport, base_url="http://bench") as http:
                    variables = asked.variables(saga_id(saga), number + 3)
                    answer = await http.post(
                        "/graphql",
                        json={"query": asked.query, "variables": variables},
                        headers={"Authorization": "Bearer irina"},
                    )
                    anonymous = await http.post("/graphql", json={"query": asked.query, "variables": variables})
                assert "errors" in (anonymous.json() if anonymous.is_success else {"errors": anonymous.text})
                answers.append(answer.json())
    ours, theirs = map(comparable, answers)
    if asked.mutation:
        for answer in (ours, theirs):
            for time in ("createdAt", "updatedAt"):
                assert next(iter(answer["data"].values()))["saga"].pop(time)
    assert ours == theirs

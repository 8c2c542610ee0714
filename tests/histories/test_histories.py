"""A saga begun under an earlier release finishes under this one, by its own definition, whatever state it was in.

Each folder `release_<n>` holds what that release left behind (`record.py`); a file is never changed or made again.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sagas.catalogue import Catalogue
from sagas.definition import SagaDefinition
from sagas.definitions import shipped_definitions
from sagas.models import SagaStatus
from tests.histories import stage
from tests.histories.record import STORIES
from tests.histories.stage import HISTORIES, History

FILES = sorted(file for file in HISTORIES.glob("release_*/*.json") if file.name != "definitions.json")


def newer() -> Catalogue:
    """Today's catalogue with other deadlines, so that every definition but the merge request's has another version."""
    stored: dict[str, Any] = json.loads(json.dumps({"calculations": [one.to_json() for one in catalogue_entries()]}))
    for entry in stored["calculations"]:
        entry["deadline_s"] += 1
    return Catalogue.from_json(stored)


def catalogue_entries() -> list[Any]:
    shipped = Catalogue.load()
    return [shipped.calculation(name) for name in shipped.names]


def test_every_definition_that_is_shipped_has_histories_in_several_states() -> None:
    states = Counter(History.load(file).definition["name"] for file in FILES)
    assert set(states) == set(shipped_definitions(Catalogue.load()))
    assert min(number for name, number in states.items() if name != "merge_request") >= 2
    assert {file.stem for file in FILES} >= set(STORIES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
async def test_a_saga_of_an_earlier_release_ends_under_this_one_by_its_own_definition(
    file: Path, database_url: str
) -> None:
    history = History.load(file)
    before = history.rows["saga"][0]
    async with stage.stage(database_url, newer()) as world:
        await stage.restore(world, history)
        await stage.register(world)
        today = world.definitions.current[before["definition_name"]].version
        assert today == (1 if before["definition_name"] == "merge_request" else before["definition_version"] + 1)
        ended = await stage.everybody_does_his_part(world, history.saga_id)
        journal = await world.database.read(
            lambda c: c.fetch(
                "SELECT to_jsonb(row) - 'xid' AS entry FROM saga_event AS row WHERE saga_id = $1 ORDER BY version",
                history.saga_id,
            )
        )
        tasks = await world.database.read(lambda c: c.fetch("SELECT id, status FROM calculation_task"))
        log = world.forge.commit_log(world.project, ended.branch) if ended.status is SagaStatus.COMPLETED else ()
    assert ended.status == history.ends
    assert (ended.definition_name, ended.definition_version) == (
        before["definition_name"],
        before["definition_version"],
    )
    known = sorted(history.rows["saga_event"], key=lambda entry: int(entry["version"]))
    assert [entry["entry"] for entry in journal[: len(known)]] == known, "what was told stays told"
    assert [entry["entry"]["version"] for entry in journal] == list(range(1, ended.version + 1))
    assert "FAILED" not in [entry["entry"]["type"] for entry in journal[len(known) :]]
    effects = Counter(commit.trailers["Saga-Step"] for commit in log if "Saga-Step" in commit.trailers)
    assert not [effect for effect, times in effects.items() if times > 1]
    waited_for = {task["id"] for task in history.rows["calculation_task"] if task["status"] == "PUBLISHED"}
    if before["status"] != "FAILED" and history.ends == SagaStatus.COMPLETED:
        assert waited_for <= {str(task["id"]) for task in tasks if task["status"] == "SUCCEEDED"}, "the same task"


def test_a_history_that_this_release_cannot_read_would_be_noticed() -> None:
    document = json.loads((HISTORIES / "release_1" / "definitions.json").read_text(encoding="utf-8"))["balance"][
        "document"
    ]
    document["steps"][1]["action"] = "ASK_THE_ORACLE"
    with pytest.raises(Exception, match="ASK_THE_ORACLE"):
        SagaDefinition.from_document(document, version=1)

"""Which files a saga watches, at every point of its way."""

from sagas.catalogue import Catalogue
from sagas.context import CalculationFacts, SagaContext
from sagas.definitions import shipped_definitions
from sagas.steps.reconciling import Watched, watched
from tests.store import rows

BALANCE = shipped_definitions(Catalogue.load())["balance"]
KNOWN = SagaContext(
    "http://gitlab.test/p.git",
    "main",
    calculations={
        "condenser": CalculationFacts(input_blob="ci", output_blob="co"),
        "feedwater_heaters": CalculationFacts(input_blob="fi", output_blob="an earlier visit's"),
        "of_another_chart": CalculationFacts(input_blob="x", output_blob="x"),
    },
)


def test_the_file_of_an_open_form_and_all_that_is_to_come_are_not_watched() -> None:
    assert watched("AWAIT_USER_CONDENSER_INPUT", BALANCE, KNOWN) == Watched({}, {})
    assert watched("COMMIT_CONDENSER_INPUT", BALANCE, KNOWN) == Watched({}, {})


def test_an_input_is_watched_from_its_commit_on_and_its_output_once_it_is_accepted() -> None:
    for state in ("DISPATCH_CONDENSER", "AWAIT_CONDENSER_RESULT", "SYNC_CONDENSER_RESULT"):
        assert watched(state, BALANCE, KNOWN) == Watched({"condenser_input.json": "ci"}, {})
    done = Watched({"condenser_input.json": "ci"}, {"condenser_output.json": "co"})
    for state in ("CHECK_FEEDWATER_HEATERS", "AWAIT_USER_FEEDWATER_HEATERS_INPUT", "COMMIT_FEEDWATER_HEATERS_INPUT"):
        assert watched(state, BALANCE, KNOWN) == done


def test_an_outstanding_tasks_inputs_are_watched_as_they_were_at_its_commit() -> None:
    blobs = {"balance_input.json": "bi", "condenser_output.json": "co", "geometries_manifest.json": "gm"}
    task = rows.task(rows.saga(), input_blobs=blobs)
    seen = watched("AWAIT_BALANCE_RESULT", BALANCE, KNOWN, task)
    assert seen.inputs == {
        "balance_input.json": "bi",
        "geometries_manifest.json": "gm",
        "condenser_input.json": "ci",
        "feedwater_heaters_input.json": "fi",
    }
    assert seen.outputs["condenser_output.json"] == "co"

"""The shipped catalogue fits the calculations, and the sample plant fits the catalogue."""

import json
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from app.demo.engineering import CALCULATIONS, Json
from app.demo.sample import sample_files, sample_issues, user_inputs
from sagas.catalogue import Catalogue

CATALOGUE: list[dict[str, Any]] = json.loads(files("sagas").joinpath("catalogue.json").read_text(encoding="utf-8"))[
    "calculations"
]
SHIPPED = Catalogue.load()
BY_NAME = {entry["name"]: entry for entry in CATALOGUE}


def test_every_calculation_of_the_catalogue_can_be_calculated() -> None:
    assert set(BY_NAME) == set(CALCULATIONS)


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry["name"])
def test_schemas_are_valid_closed_and_described(entry: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(entry["input_schema"])

    def look(schema: dict[str, Any], path: str) -> None:
        assert schema.get("title"), f"{path} has no title"
        assert schema.get("x-title-ru"), f"{path} has no Russian title"
        if schema["type"] == "object":
            assert schema["additionalProperties"] is False, f"{path} is open"
            for name, inner in schema["properties"].items():
                look(inner, f"{path}/{name}")
        if schema["type"] == "array":
            look(schema["items"], f"{path}/*")
        if schema["type"] == "number":
            assert schema["minimum"] < schema["maximum"], f"{path} has no range"
            assert schema["x-unit"], f"{path} has no unit"

    look(entry["input_schema"], entry["name"])


def test_the_turbine_is_described_alike_wherever_it_is_entered() -> None:
    heaters, plant = (BY_NAME[name]["input_schema"]["properties"] for name in ("feedwater_heaters", "balance"))
    assert heaters["turbine"] == plant["turbine"]
    assert heaters["heaters"] == plant["feedwater"]["properties"]["heaters"]
    assert heaters["feed_pump"] == plant["feedwater"]["properties"]["feed_pump"]


def test_drafts_of_the_sample_plant_are_valid_as_they_stand_and_as_the_user_changes_them() -> None:
    documents = {name: json.loads(text) for name, text in sample_files().items() if name.endswith(".json")}
    Draft202012Validator(BY_NAME["balance"]["input_schema"]).validate(documents["balance_input.json"])
    for name in ("condenser", "feedwater_heaters"):
        entry = BY_NAME[name]
        draft = SHIPPED.calculation(name).hydrate(documents)
        entered = user_inputs(name, draft)
        validator = Draft202012Validator(entry["input_schema"])
        validator.validate(draft)
        validator.validate(entered)
        assert entered != draft
        documents[entry["input_file"]] = entered
        documents[entry["output_file"]] = CALCULATIONS[name](documents)

    balance = CALCULATIONS["balance"](documents)

    assert isinstance(balance, dict)
    assert balance["warnings"] == []
    assert balance["power_mw"] == pytest.approx(296, abs=1)


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry["name"])
def test_a_task_names_every_file_that_its_calculation_reads(entry: dict[str, Any]) -> None:
    documents: dict[str, Any] = {}
    read: set[str] = set()

    class Recording(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            read.add(key)
            return super().__getitem__(key)

    sample = {name: json.loads(text) for name, text in sample_files().items() if name.endswith(".json")}
    documents |= sample
    for name in ("condenser", "feedwater_heaters", "balance"):
        other = BY_NAME[name]
        documents.setdefault(other["input_file"], SHIPPED.calculation(name).hydrate(sample))
        if name == entry["name"]:
            CALCULATIONS[name](Recording(documents))
            break
        documents[other["output_file"]] = CALCULATIONS[name](documents)
    outputs = {BY_NAME[name]["output_file"] for name in entry["depends_on"]}
    assert read == {entry["input_file"], *entry["uses_files"], *outputs}


def test_the_sample_has_issues_of_both_languages() -> None:
    issues = sample_issues()
    assert 4 <= len(issues) <= 6
    assert len({issue.title for issue in issues}) == len(issues)
    assert any(issue.title.isascii() for issue in issues)
    assert any(not issue.title.isascii() for issue in issues)


def test_user_inputs_leave_the_draft_alone_and_know_every_calculation() -> None:
    draft: Json = {"cooling_water": {"flow_kg_s": 9500}}
    user_inputs("condenser", draft)
    assert draft == {"cooling_water": {"flow_kg_s": 9500}}
    assert user_inputs("something_new", {"a": 1}) == {"a": 1}

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sagas.catalogue import Calculation, Catalogue, HydrationRule
from sagas.definition import DefinitionError
from sagas.errors import RefusalCode
from sagas.values import MAX_BYTES, MAX_DEPTH, MAX_PROBLEMS, check_document, validator_of, violations
from tests.unit.catalogues import catalogue, catalogues, entry


@pytest.fixture(scope="module")
def shipped() -> Catalogue:
    return Catalogue.load()


class TestShipped:
    def test_it_has_the_three_calculations_of_the_service_description(self, shipped: Catalogue) -> None:
        assert shipped.names == ("condenser", "feedwater_heaters", "balance")
        assert [c.name for c in shipped.in_dependency_order("balance")] == ["condenser", "feedwater_heaters", "balance"]

    def test_a_worker_reads_its_input_the_outputs_of_its_dependencies_and_what_it_uses(
        self, shipped: Catalogue
    ) -> None:
        assert shipped.input_files(shipped.calculation("condenser")) == (
            "condenser_input.json",
            "geometries_manifest.json",
        )
        assert shipped.input_files(shipped.calculation("balance")) == (
            "balance_input.json",
            "condenser_output.json",
            "feedwater_heaters_output.json",
        )

    def test_an_entry_survives_being_stored(self, shipped: Catalogue) -> None:
        for calculation in shipped.calculations:
            assert Calculation.from_json(json.loads(json.dumps(calculation.to_json()))) == calculation


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "complaint"),
        [
            ({"name": "Feed Water"}, "Feed Water.name: must be lower-case words"),
            ({"title": {"en": "X"}}, "steam.title.ru: must be a text"),
            ({"input_file": "../secrets.json"}, "steam.input_file: must be a plain path"),
            ({"output_file": "/etc/passwd"}, "steam.output_file: must be a plain path"),
            ({"output_file": "steam_input.json"}, "steam.output_file: steam_input.json is written by steam.input_file"),
            ({"queue": ""}, "steam.queue: must be a text"),
            ({"depends_on": "balance"}, "steam.depends_on: must be a list of texts"),
            ({"depends_on": ["boiler"]}, "steam.depends_on: there is no 'boiler'; there are steam, other"),
            ({"depends_on": ["other", "other"]}, "steam.depends_on: names something twice"),
            ({"depends_on": ["steam"]}, "steam.depends_on: the calculations depend on each other: steam → steam"),
            ({"uses_files": ["a/../b"]}, "steam.uses_files: must be a plain path"),
            ({"deadline_s": 0}, "steam.deadline_s: must be a number of seconds above 0"),
            ({"deadline_s": True}, "steam.deadline_s: must be a number of seconds above 0"),
            ({"hydration": [{"from": "a.json", "pointer": "/a"}]}, "steam.hydration[0].to: must be a text"),
            (
                {"hydration": [{"from": "a.json", "pointer": "a", "to": "/a"}]},
                "steam.hydration[0].pointer: is not a JSON Pointer",
            ),
            (
                {"hydration": [{"from": "steam_input.json", "pointer": "/a", "to": "/a"}]},
                "steam.hydration[0].from: is the very file",
            ),
            (
                {"hydration": [{"from": "a.json", "pointer": "/a", "to": to} for to in ("/a", "/a/b")]},
                "steam.hydration[1].to: overlaps",
            ),
            (
                {"hydration": [{"from": "a.json", "pointer": "/a", "to": "/a", "sum": 1}]},
                "steam.hydration[0].sum: is not a known field",
            ),
            ({"input_schema": {"type": "array"}}, 'steam.input_schema: must be a JSON Schema with "type": "object"'),
            (
                {"input_schema": {"type": "object", "properties": {"a": {"minimum": "low"}}}},
                "steam.input_schema: is not a JSON Schema (2020-12): at /properties/a/minimum",
            ),
            (
                {"input_schema": {"type": "object", "$ref": "https://example.com/schema.json"}},
                "steam.input_schema: refers to https://example.com/schema.json, which is not in it",
            ),
            ({"colour": "red"}, "steam.colour: is not a known field"),
        ],
    )
    def test_a_broken_entry_is_refused_by_its_name_and_field(self, changes: dict[str, Any], complaint: str) -> None:
        with pytest.raises(DefinitionError) as refusal:
            catalogue({**entry("steam"), **changes}, entry("other"))
        assert complaint in str(refusal.value)

    def test_a_missing_field_is_named(self) -> None:
        incomplete = entry("steam")
        del incomplete["queue"]
        with pytest.raises(DefinitionError, match=r"steam\.queue: is missing"):
            catalogue(incomplete)

    def test_two_entries_of_one_name_are_refused(self) -> None:
        with pytest.raises(DefinitionError, match=r"steam\.name: another entry has the same name"):
            catalogue(entry("steam"), entry("steam", input_file="b.json", output_file="c.json"))

    def test_two_calculations_never_write_the_same_file(self) -> None:
        with pytest.raises(
            DefinitionError, match=r"water\.output_file: steam_output\.json is written by steam\.output"
        ):
            catalogue(entry("steam"), entry("water", output_file="steam_output.json"))

    def test_a_circle_of_dependencies_is_told_in_full(self) -> None:
        with pytest.raises(DefinitionError, match=r"depend on each other: (a → c → b → a|b → a → c → b|c → b → a → c)"):
            catalogue(entry("a", "b"), entry("b", "c"), entry("c", "a"))

    @pytest.mark.parametrize("document", [None, [], {}, {"calculations": []}, {"calculations": {}}])
    def test_something_else_than_a_catalogue_is_refused(self, document: object) -> None:
        with pytest.raises(DefinitionError, match="calculations: must be a list"):
            Catalogue.from_json(document)

    def test_a_file_that_cannot_be_used_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DefinitionError, match=r"catalogue .*missing\.json: it cannot be read"):
            Catalogue.load(tmp_path / "missing.json")
        broken = tmp_path / "broken.json"
        broken.write_text('{"calculations": [', encoding="utf-8")
        with pytest.raises(DefinitionError, match=r"catalogue .*broken\.json: it is not JSON"):
            Catalogue.load(broken)
        broken.write_text(json.dumps({"calculations": [entry("a", "b")]}), encoding="utf-8")
        with pytest.raises(DefinitionError, match=r"catalogue .*broken\.json: a\.depends_on: there is no 'b'"):
            Catalogue.load(broken)


@given(catalogues())
def test_dependency_order_holds_each_needed_calculation_once_and_after_what_it_needs(of: Catalogue) -> None:
    order = [calculation.name for calculation in of.in_dependency_order("balance")]
    assert order[-1] == "balance"
    assert len(set(order)) == len(order)
    for place, name in enumerate(order):
        assert set(of.calculation(name).depends_on) <= set(order[:place])
    needed, waiting = set(), ["balance"]
    while waiting:
        name = waiting.pop()
        needed.add(name)
        waiting.extend(of.calculation(name).depends_on)
    assert set(order) == needed


class TestHydration:
    RULES = (
        HydrationRule("balance_input.json", "/condenser/flow", "/water/flow"),
        HydrationRule(
            "balance_input.json", "/condenser/temperature", "/water/temperature", default=15, has_default=True
        ),
        HydrationRule("plant.json", "/units/0/name", "/name"),
    )

    def hydrated(self, sources: dict[str, Any]) -> Any:
        stored = entry("condenser", hydration=[rule.to_json() for rule in self.RULES])
        return Calculation.from_json(stored).hydrate(sources)

    def test_what_the_rules_find_stands_where_they_say(self) -> None:
        sources = {
            "balance_input.json": {"condenser": {"flow": 9500, "temperature": 18}},
            "plant.json": {"units": [{"name": "K-300"}]},
        }
        assert self.hydrated(sources) == {"water": {"flow": 9500, "temperature": 18}, "name": "K-300"}

    def test_what_is_not_there_has_its_default_or_is_left_for_the_user(self) -> None:
        assert self.hydrated({"balance_input.json": {"condenser": None}, "plant.json": {"units": {}}}) == {
            "water": {"temperature": 15}
        }

    def test_a_null_in_the_source_is_a_value(self) -> None:
        hydrated = self.hydrated({"balance_input.json": {"condenser": {"temperature": None}}, "plant.json": []})
        assert hydrated == {"water": {"temperature": None}}

    def test_the_draft_shares_nothing_with_its_source(self) -> None:
        source = {"balance_input.json": {"condenser": {"flow": [1]}}}
        hydrated = self.hydrated(source)
        hydrated["water"]["flow"].append(2)
        assert source == {"balance_input.json": {"condenser": {"flow": [1]}}}


VALID = {
    "geometry": "k-15240",
    "heat_duty_mw": 380.0,
    "cooling_water": {"inlet_temperature_c": 15, "flow_kg_s": 9600},
}


def with_flow(flow: object) -> dict[str, Any]:
    return {**VALID, "cooling_water": {"inlet_temperature_c": 15, "flow_kg_s": flow}}


class TestValidation:
    def told(self, shipped: Catalogue, values: Any) -> dict[tuple[str, ...] | None, str]:
        problems = shipped.calculation("condenser").validate(values)
        assert {problem.code for problem in problems} <= {RefusalCode.INVALID_INPUT}
        return {problem.field: problem.message for problem in problems}

    def test_good_values_pass(self, shipped: Catalogue) -> None:
        assert self.told(shipped, VALID) == {}

    def test_a_value_out_of_range_is_told_with_the_range_its_unit_and_what_was_given(self, shipped: Catalogue) -> None:
        assert self.told(shipped, with_flow(4)) == {
            ("values", "cooling_water", "flow_kg_s"): "Flow must be a number from 500 to 60000 kg/s; it is 4."
        }

    def test_a_value_of_another_type_is_told(self, shipped: Catalogue) -> None:
        field = ("values", "cooling_water", "flow_kg_s")
        assert self.told(shipped, with_flow("9600"))[field].endswith('it is "9600".')
        assert self.told(shipped, with_flow(True))[field].endswith("it is true.")
        assert self.told(shipped, with_flow(None))[field].endswith("it is null.")

    def test_missing_and_unknown_fields_are_named_by_their_own_path(self, shipped: Catalogue) -> None:
        values = {**VALID, "cooling_water": {"flow": 9600, "inlet_temperature_c": 15}}
        assert self.told(shipped, values) == {
            ("values", "cooling_water", "flow"): '"flow" is not a known property. Did you mean flow_kg_s?',
            ("values", "cooling_water", "flow_kg_s"): "Flow is missing: give a number from 500 to 60000 kg/s.",
        }

    def test_every_violation_is_told_at_once(self, shipped: Catalogue) -> None:
        told = self.told(shipped, {"geometry": "", "heat_duty_mw": -1, "cooling_water": [], "colour": "red"})
        assert sorted(told, key=str) == [
            ("values", "colour"),
            ("values", "cooling_water"),
            ("values", "geometry"),
            ("values", "heat_duty_mw"),
        ]

    @pytest.mark.parametrize("values", [None, 1, "text", [], True])
    def test_something_else_than_an_object_is_refused(self, shipped: Catalogue, values: Any) -> None:
        assert list(self.told(shipped, values)) == [("values",)]

    def test_list_items_are_named_by_their_place(self) -> None:
        schema = {"type": "object", "properties": {"heaters": {"type": "array", "items": {"type": "number"}}}}
        (problem,) = violations(validator_of(schema), {"heaters": [1, "two", 3]})
        assert problem.field == ("values", "heaters", "1")
        assert problem.message == 'heaters[1] must be a number; it is "two".'

    def test_formats_are_checked(self) -> None:
        schema = {"type": "object", "properties": {"day": {"type": "string", "format": "date"}}}
        (problem,) = violations(validator_of(schema), {"day": "31.12.2025"})
        assert problem.message == 'day must be text in the format date; it is "31.12.2025".'

    def test_a_rule_without_words_is_told_in_the_librarys(self) -> None:
        schema = {"type": "object", "properties": {"a": {"not": {"type": "string"}}}}
        (problem,) = violations(validator_of(schema), {"a": "text"})
        assert problem.field == ("values", "a")
        assert "should not be valid under" in problem.message

    def test_a_rule_of_the_object_is_never_told_as_its_type(self) -> None:
        (problem,) = violations(validator_of({"type": "object", "minProperties": 2}), {"a": 1})
        assert problem.field == ("values",)
        assert "must be an object" not in problem.message

    def test_names_that_a_pattern_allows_are_known(self) -> None:
        schema = {"type": "object", "patternProperties": {"^x-": {}}, "additionalProperties": False}
        assert [problem.field for problem in violations(validator_of(schema), {"x-note": 1, "y": 2})] == [
            ("values", "y")
        ]

    @given(st.dictionaries(st.sampled_from("abcd"), st.none() | st.integers() | st.text(max_size=3)))
    def test_whatever_the_library_refuses_is_told(self, values: dict[str, Any]) -> None:
        schema = {
            "type": "object",
            "properties": {"a": {"type": "integer", "minimum": 0}, "b": {"anyOf": [{"minLength": 2}, {"const": 1}]}},
            "required": ["a", "c"],
            "unevaluatedProperties": False,
        }
        assert bool(violations(validator_of(schema), values)) is not Draft202012Validator(schema).is_valid(values)

    def test_an_answer_never_grows_with_the_nonsense(self) -> None:
        schema = {"type": "object", "additionalProperties": False}
        assert len(violations(validator_of(schema), {f"field{n}": n for n in range(1000)})) == MAX_PROBLEMS
        (problem,) = violations(
            validator_of({"type": "object", "properties": {"a": {"type": "null"}}}), {"a": "x" * 100_000}
        )
        assert len(problem.message) < 200


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    # Cs are surrogates.
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=20,
)


RULES = [
    HydrationRule("a.json", pointer, f"/{place}")
    for place, pointer in enumerate(["/a", "/a/0", "/a/-", "/b/c", "/b/1/a", "/c/00", "/c/-1"])
]


@given(JSON)
def test_hydration_takes_any_document_and_gives_only_what_stands_in_it(source: Any) -> None:
    calculation = Calculation.from_json(entry("x", hydration=[rule.to_json() for rule in RULES]))
    hydrated = calculation.hydrate({"a.json": source})
    assert check_document(hydrated) == []
    assert isinstance(hydrated, dict)
    assert not {"2", "5", "6"} & set(hydrated)
    if isinstance(source, dict) and "a" in source:
        assert hydrated["0"] == source["a"]
    else:
        assert "0" not in hydrated


class TestHygiene:
    @given(JSON)
    def test_ordinary_documents_pass(self, document: Any) -> None:
        assert check_document(document) == []

    @pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**400])
    def test_numbers_that_are_not_json_are_refused_where_they_stand(self, number: float) -> None:
        (problem,) = check_document({"a": [1, number]})
        assert problem.field == ("values", "a", "1")
        assert "finite number" in problem.message

    @pytest.mark.parametrize(("text", "said"), [("a\0b", "NUL"), ("\ud800", "surrogate")])
    def test_text_that_cannot_be_stored_is_refused_as_value_and_as_name(self, text: str, said: str) -> None:
        (value,) = check_document({"a": {"b": text}})
        assert value.field == ("values", "a", "b")
        assert said in value.message
        (name,) = check_document({"a": {text: 1}})
        assert name.field == ("values", "a")
        assert said in name.message

    def test_nesting_is_bounded(self) -> None:
        def nested(levels: int) -> Any:
            document: Any = 1
            for _ in range(levels):
                document = [document]
            return document

        assert check_document(nested(MAX_DEPTH)) == []
        (problem,) = check_document(nested(MAX_DEPTH + 1))
        assert "deeper than 64 levels" in problem.message
        (problem,) = check_document(nested(100_000))
        assert "deeper than 64 levels" in problem.message

    def test_size_is_bounded_in_bytes_not_characters(self) -> None:
        assert check_document("x" * (MAX_BYTES - 2)) == []
        (problem,) = check_document("ж" * (MAX_BYTES // 2))
        assert problem.message == "The document has 262146 bytes as compact JSON; at most 262144 are accepted."
        assert problem.field == ("values",)

    def test_an_answer_never_grows_with_the_nonsense(self) -> None:
        assert len(check_document([math.nan] * 10_000)) == MAX_PROBLEMS

    def test_a_document_that_fails_hygiene_never_meets_its_schema(self, shipped: Catalogue) -> None:
        (problem,) = shipped.calculation("condenser").validate(with_flow(math.nan))
        assert "finite number" in problem.message

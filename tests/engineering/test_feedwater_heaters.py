"""Feedwater heaters: closed balances of each and of all, monotony, and complaints that name the field."""

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.demo.engineering import CalculationError
from tests.engineering.plant import Document, feasible, heaters_input, run_heaters

checks = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


def changed(document: Document, path: str, value: object) -> Document:
    """The document with one value replaced; `path` as in `heaters/0/kind`."""
    *way, last = path.split("/")
    place: Any = document
    for key in way:
        place = place[int(key) if isinstance(place, list) else key]
    place[int(last) if isinstance(place, list) else last] = value
    return document


def flows(output: Document) -> dict[str, float]:
    return {extraction["name"]: extraction["flow_kg_s"] for extraction in output["extractions"]}


def test_the_design_point_is_that_of_a_300_mw_unit() -> None:
    output = run_heaters(heaters_input())
    assert output["feedwater"]["temperature_c"] == pytest.approx(276, abs=0.5)
    assert 0.7 < output["condensate"]["flow_kg_s"] / output["feedwater"]["flow_kg_s"] < 0.85
    assert output["warnings"] == []


@checks
@given(
    st.floats(50, 700),
    st.floats(15, 45),
    st.lists(st.floats(0, 8), min_size=8, max_size=8),
    st.lists(st.one_of(st.none(), st.floats(3, 15)), min_size=8, max_size=8),
)
def test_mass_and_energy_close_in_each_heater_and_in_all(
    flow: float, condensate: float, differences: list[float], approaches: list[float | None]
) -> None:
    document = heaters_input()
    document["turbine"]["main_steam"]["flow_kg_s"] = flow
    document["condensate"]["temperature_c"] = condensate
    for heater, difference, approach in zip(document["heaters"], differences, approaches, strict=True):
        heater["terminal_difference_k"] = difference
        heater.pop("drain_approach_k", None)
        if approach is not None and heater["kind"] == "closed":
            heater["drain_approach_k"] = approach

    with feasible():
        output = run_heaters(document)

    assert output["closure"]["mass_residual_kg_s"] == pytest.approx(0, abs=1e-6 * flow)
    assert output["closure"]["energy_residual_kw"] == pytest.approx(0, abs=1e-6 * flow * 3000)
    assert all(value > 0 for value in flows(output).values())
    heaters = output["heaters"]
    for lower, upper in pairwise(heaters):
        if upper["kind"] == "closed" and lower["kind"] == "closed":
            assert lower["drain_flow_kg_s"] == pytest.approx(
                upper["drain_flow_kg_s"] + lower["steam_flow_kg_s"], rel=1e-4
            )
            assert upper["water_inlet_temperature_c"] == lower["water_outlet_temperature_c"]
    feedwater = (
        output["condensate"]["flow_kg_s"] + sum(flows(output).values()) - output["drains_to_condenser"]["flow_kg_s"]
    )
    assert feedwater == pytest.approx(flow, rel=1e-6)


@checks
@given(st.floats(50, 700))
def test_steam_flows_are_in_proportion_to_the_feedwater(flow: float) -> None:
    document = heaters_input()
    base = flows(run_heaters(document))
    document["turbine"]["main_steam"]["flow_kg_s"] = flow
    for name, value in flows(run_heaters(document)).items():
        assert value / base[name] == pytest.approx(flow / 241, rel=1e-6)


def test_outlet_temperatures_keep_the_terminal_differences() -> None:
    document = heaters_input()
    output = run_heaters(document)
    for design, heater in zip(document["heaters"], output["heaters"], strict=True):
        missing = heater["saturation_temperature_c"] - heater["water_outlet_temperature_c"]
        wanted = 0 if design["kind"] == "deaerator" else design["terminal_difference_k"]
        assert missing == pytest.approx(wanted, abs=2e-3)


def test_a_larger_terminal_difference_at_the_top_cools_the_feedwater_and_saves_steam() -> None:
    document = heaters_input()
    outputs = [run_heaters(changed(document, "heaters/7/terminal_difference_k", k)) for k in (-1, 0, 2, 4, 8)]
    temperatures = [output["feedwater"]["temperature_c"] for output in outputs]
    steam = [flows(output)["E1"] for output in outputs]
    assert temperatures == sorted(temperatures, reverse=True)
    assert steam == sorted(steam, reverse=True)
    assert temperatures[0] - temperatures[-1] == pytest.approx(9, abs=0.01)


def test_colder_condensate_takes_more_steam_from_the_coldest_extraction_only() -> None:
    document = heaters_input()
    warm = flows(run_heaters(changed(document, "condensate/temperature_c", 35)))
    cold = flows(run_heaters(changed(document, "condensate/temperature_c", 25)))
    assert cold["E8"] > warm["E8"]
    assert {name for name in cold if not math.isclose(cold[name], warm[name], rel_tol=1e-9)} == {"E8"}


def test_an_extraction_without_a_heater_gives_no_steam() -> None:
    document = heaters_input()
    document["heaters"] = [heater for heater in document["heaters"] if heater["extraction"] != "E1"]
    output = run_heaters(document)
    assert flows(output)["E1"] == 0
    assert output["feedwater"]["temperature_c"] < 250


def test_a_deaerator_at_the_end_sends_the_pumps_water_to_the_boiler() -> None:
    document = heaters_input()
    document["heaters"] = document["heaters"][:5]
    output = run_heaters(document)
    rise = output["feed_pump"]["temperature_rise_k"]
    assert output["feedwater"]["temperature_c"] == pytest.approx(
        output["heaters"][-1]["water_outlet_temperature_c"] + rise, abs=0.01
    )
    assert output["closure"]["energy_residual_kw"] == pytest.approx(0, abs=0.01)


def test_a_drain_cooler_that_cannot_cool_is_told() -> None:
    output = run_heaters(changed(heaters_input(), "heaters/2/drain_approach_k", 40))
    assert output["warnings"] == ["LPH-3: its drain cooler has no effect, the drain leaves saturated."]
    assert output["heaters"][2]["drain_temperature_c"] == output["heaters"][2]["saturation_temperature_c"]


def test_the_same_input_gives_the_same_document() -> None:
    assert run_heaters(heaters_input()) == run_heaters(heaters_input())


@pytest.mark.parametrize(
    ("path", "value", "where", "complaint"),
    [
        ("heaters/0/extraction", "E99", "heaters/0/extraction", "no extraction of the turbine; it has: E1, E2"),
        ("heaters/1/extraction", "E8", "heaters/1/extraction", "feeds another heater already"),
        ("heaters/1/name", "LPH-1", "heaters/1/name", "comes twice"),
        ("heaters/4/kind", "closed", "heaters", "exactly one deaerator; there are 0"),
        ("heaters/3/kind", "deaerator", "heaters", "exactly one deaerator; there are 2"),
        ("heaters/0/kind", "kettle", "heaters/0/kind", 'must be one of "closed", "deaerator"'),
        ("heaters/0/terminal_difference_k", -3, "heaters/0/terminal_difference_k", "above its steam's 56.7 °C"),
        ("condensate/temperature_c", 70, "heaters/0/extraction", "LPH-1 would cool its water: it enters at 70.0 °C"),
        ("condensate/pressure_mpa", 0.5, "condensate/pressure_mpa", "above the deaerator's 0.703 MPa"),
        ("feed_pump/discharge_pressure_mpa", 20, "feed_pump/discharge_pressure_mpa", "above the main steam pressure"),
        ("heaters/4/steam_pressure_drop_percent", 60, "heaters/3/extraction", "above the deaerator's boiling point"),
        ("turbine/reheat/pressure_mpa", 4.5, "turbine/reheat/pressure_mpa", "below the high-pressure exhaust, 4 MPa"),
        ("turbine/extractions/1/pressure_mpa", 3.8, "turbine/extractions/1/pressure_mpa", "lies in no section"),
        ("turbine/extractions/2/pressure_mpa", 1.0, "turbine/extractions/3/pressure_mpa", "falling pressure"),
        ("turbine/extractions/1/name", "E1", "turbine/extractions/1/name", "comes twice"),
        ("heaters/4/steam_pressure_drop_percent", 55, "heaters/4/steam_pressure_drop_percent", "raise its pressure"),
        ("turbine/sections/hp/exhaust_pressure_mpa", 8, "turbine/extractions/0/pressure_mpa", "lies in no section"),
        (
            "turbine/sections/ip/isentropic_efficiency",
            1.2,
            "turbine/sections/ip/isentropic_efficiency",
            "from 0.5 to 0.98",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_fields_name(path: str, value: object, where: str, complaint: str) -> None:
    with pytest.raises(CalculationError) as refused:
        run_heaters(changed(heaters_input(), path, value))
    assert complaint in refused.value.message
    assert "/".join(refused.value.field_path) == where
    assert str(refused.value).startswith(f"feedwater_heaters_input.json/{where}: ")

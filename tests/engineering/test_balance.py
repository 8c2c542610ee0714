"""The plant's balance: it closes, it follows the condenser, and it refuses documents that do not belong together."""

import json
import pickle
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.demo.engineering import CALCULATIONS, CalculationError
from tests.engineering.plant import (
    Document,
    balance_input,
    condenser_input,
    feasible,
    heaters_input,
    run_balance,
    run_condenser,
    run_heaters,
    run_plant,
)
from tests.engineering.test_feedwater_heaters import changed

checks = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


def documents() -> tuple[Document, Document, Document]:
    return balance_input(), run_condenser(condenser_input()), run_heaters(heaters_input())


def test_the_design_point_makes_300_mw() -> None:
    output = run_plant()
    assert output["power_mw"] == pytest.approx(300, abs=1.5)
    assert output["heat_rate_kj_per_kwh"] == pytest.approx(7530, rel=5e-3)
    assert output["condenser"]["heat_duty_mw"] == pytest.approx(334, abs=1)
    assert output["warnings"] == []


@checks
@given(
    water=st.floats(2, 35),
    flow=st.floats(120, 400),
    main=st.floats(520, 580),
    reheat=st.floats(520, 580),
    hp=st.floats(0.75, 0.92),
    lp=st.floats(0.75, 0.9),
    loss=st.floats(0, 60),
)
def test_mass_and_energy_close(
    water: float, flow: float, main: float, reheat: float, hp: float, lp: float, loss: float
) -> None:
    plant = balance_input()
    turbine = plant["turbine"]
    turbine["main_steam"] |= {"flow_kg_s": flow, "temperature_c": main}
    turbine["reheat"]["temperature_c"] = reheat
    turbine["sections"]["hp"]["isentropic_efficiency"] = hp
    turbine["sections"]["lp"] |= {"isentropic_efficiency": lp, "exhaust_loss_kj_per_kg": loss}
    with feasible():
        output = run_plant(water, plant=plant, heat_duty_mw=334 * flow / 241)

    closure = output["closure"]
    assert closure["mass_residual_kg_s"] == pytest.approx(0, abs=1e-3)
    assert closure["energy_residual_kw"] == pytest.approx(0, abs=1e-6 * output["heat_input_mw"]["total"] * 1e3 + 1)
    links = output["energy_flows"]
    for node in ("cycle", "turbine"):
        entering = sum(link["value_mw"] for link in links if link["target"] == node)
        leaving = sum(link["value_mw"] for link in links if link["source"] == node)
        assert entering == pytest.approx(leaving, rel=1e-5)
    assert sum(output["section_power_mw"].values()) == pytest.approx(
        next(link["value_mw"] for link in links if link["target"] == "turbine"), rel=1e-5
    )
    # Second law: no cycle between these temperatures beats Carnot's.
    hottest, coldest = max(main, reheat) + 273.15, output["condenser"]["hotwell_temperature_c"] + 273.15
    assert 0 < output["cycle_efficiency"] < 1 - coldest / hottest


def test_entropy_never_falls_along_an_expansion() -> None:
    line = run_plant()["expansion_line"]
    for first, second in pairwise(line):
        if second["point"] != "hot_reheat":
            assert second["entropy_kj_per_kg_k"] >= first["entropy_kj_per_kg_k"] - 1e-3
            assert second["pressure_mpa"] <= first["pressure_mpa"]
            assert second["enthalpy_kj_per_kg"] <= first["enthalpy_kj_per_kg"] + 0.05


def test_warmer_cooling_water_raises_the_condensers_pressure_and_lowers_the_power() -> None:
    outputs = [run_plant(water) for water in (2, 8, 12, 18, 24, 30, 36)]
    pressures = [output["condenser"]["pressure_kpa"] for output in outputs]
    powers = [output["power_mw"] for output in outputs]
    rates = [output["heat_rate_kj_per_kwh"] for output in outputs]
    assert pressures == sorted(pressures)
    assert powers == sorted(powers, reverse=True)
    assert rates == sorted(rates)
    assert 10 < powers[0] - powers[-1] < 40


@checks
@given(st.floats(2, 35), st.floats(0.5, 5))
def test_at_any_temperature_warmer_water_costs_power(water: float, warmer: float) -> None:
    assert run_plant(water + warmer)["power_mw"] < run_plant(water)["power_mw"]


def test_more_cooling_water_raises_the_power() -> None:
    powers = [run_plant(18, flow_kg_s=flow)["power_mw"] for flow in (6000, 8000, 9500, 12_000)]
    assert powers == sorted(powers)


@pytest.mark.parametrize("section", ["hp", "ip", "lp"])
def test_a_better_section_makes_more_power(section: str) -> None:
    powers = []
    for efficiency in (0.78, 0.82, 0.86, 0.9):
        plant = changed(balance_input(), f"turbine/sections/{section}/isentropic_efficiency", efficiency)
        powers.append(run_plant(plant=plant)["power_mw"])
    assert powers == sorted(powers)


def test_a_heater_out_of_order_raises_power_and_heat_rate() -> None:
    """Without the last heater its steam goes on working, but the boiler must make up for cold feedwater."""
    plant = balance_input()
    cold_end = run_condenser(condenser_input())
    all_on = heaters_input()
    one_off = heaters_input()
    one_off["heaters"] = one_off["heaters"][:-1]
    complete, reduced = (run_balance(plant, cold_end, run_heaters(heaters)) for heaters in (all_on, one_off))
    assert reduced["power_mw"] > complete["power_mw"]
    assert reduced["heat_rate_kj_per_kwh"] > complete["heat_rate_kj_per_kwh"]


def test_power_and_heat_scale_with_the_steam_flow() -> None:
    plant, cold_end, _ = documents()
    base = run_balance(plant, cold_end, run_heaters(heaters_input()))
    plant["turbine"]["main_steam"]["flow_kg_s"] *= 2
    double = run_balance(plant, cold_end, run_heaters(heaters_input() | {"turbine": plant["turbine"]}))
    assert double["power_mw"] == pytest.approx(2 * base["power_mw"], rel=1e-5)
    assert double["heat_rate_kj_per_kwh"] == pytest.approx(base["heat_rate_kj_per_kwh"], rel=1e-5)


def test_assumptions_that_do_not_fit_are_warned_of_and_counted() -> None:
    plant, _, heaters = documents()
    hot = run_condenser(condenser_input(inlet_temperature_c=30, heat_duty_mw=250))
    output = run_balance(plant, hot, heaters)
    assert output["closure"]["condensate_mismatch_mw"] < -5
    assert output["closure"]["energy_residual_kw"] == pytest.approx(0, abs=1)
    assert [warning.split(",")[0] for warning in output["warnings"]] == [
        "The heaters were calculated for condensate 13.8 K colder than the condenser gives",
        "The condenser was calculated for 250.0 MW; the balance gives it 334.6 MW. Calculate the condenser again with this duty.",
    ]


def test_the_same_documents_give_the_same_bytes() -> None:
    first, second = (json.dumps(run_balance(*documents())) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("path", "value", "file", "complaint"),
    [
        ("turbine/main_steam/flow_kg_s", 250, "feedwater_heaters_output.json", "calculate the heaters again"),
        ("turbine/extractions/3/pressure_mpa", 1.1, "feedwater_heaters_output.json", "calculate the heaters again"),
        ("turbine/extractions/3/name", "E4a", "feedwater_heaters_output.json", "are not those of the turbine"),
        ("turbine/sections/ip/isentropic_efficiency", 0.8, "feedwater_heaters_output.json", "at E3"),
        ("feedwater/feed_pump/discharge_pressure_mpa", 30, "feedwater_heaters_output.json", "feed pump's 30 MPa"),
        ("generator/efficiency", 1.1, "balance_input.json", "from 0.8 to 1"),
    ],
)
def test_results_of_another_plant_are_refused(path: str, value: object, file: str, complaint: str) -> None:
    plant, cold_end, heaters = documents()
    with pytest.raises(CalculationError, match=complaint) as refused:
        run_balance(changed(plant, path, value), cold_end, heaters)
    assert refused.value.file == file


@pytest.mark.parametrize(
    ("pressure", "complaint"),
    [
        (18.0, "is not below the last stages' inlet, 18.00 kPa"),
        (0.1, "between 0.7 and 101.3"),
        ("low", "must be a number"),
    ],
)
def test_an_impossible_condenser_pressure_is_refused(pressure: object, complaint: str) -> None:
    plant, cold_end, heaters = documents()
    cold_end["pressure_kpa"] = pressure
    with pytest.raises(CalculationError, match=complaint):
        run_balance(plant, cold_end, heaters)


def test_heaters_that_take_all_the_steam_are_refused() -> None:
    plant, cold_end, heaters = documents()
    heaters["extractions"][0]["flow_kg_s"] = 300
    with pytest.raises(CalculationError, match="more steam than the HP section has"):
        run_balance(plant, cold_end, heaters)


@pytest.mark.parametrize("name", ["condenser", "feedwater_heaters", "balance"])
def test_missing_files_are_named(name: str) -> None:
    with pytest.raises(CalculationError, match=rf"{name}_input\.json: is missing"):
        CALCULATIONS[name]({})


@checks
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=20,
    )
)
@pytest.mark.parametrize("name", ["condenser", "feedwater_heaters", "balance"])
def test_nonsense_is_refused_and_never_crashes(name: str, document: Any) -> None:
    with pytest.raises(CalculationError):
        CALCULATIONS[name]({f"{name}_input.json": document, "geometries_manifest.json": document})


def test_a_calculation_error_survives_pickling() -> None:
    original = CalculationError("is too hot.", ("cooling_water", "inlet_temperature_c"), file="condenser_input.json")
    copy = pickle.loads(pickle.dumps(original))
    assert (str(copy), copy.field_path, copy.file) == (str(original), original.field_path, original.file)

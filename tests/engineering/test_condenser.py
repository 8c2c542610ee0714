"""The condenser: closed balance, limits, monotony, and complaints that name the field."""

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from app.demo.engineering import CalculationError, steam
from app.demo.engineering.heat_transfer import film_coefficient, friction_factor, gnielinski
from app.demo.engineering.steam import Liquid
from tests.engineering.plant import Document, condenser_input, manifest, run_condenser

inlets = st.floats(1, 40)
flows = st.floats(2500, 16_000)
duties = st.floats(50, 600)
foulings = st.floats(0, 0.001)
plugged = st.floats(0, 30)
checks = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


def run(**changed: object) -> Document:
    return run_condenser(condenser_input(**changed))


def test_the_design_point_is_that_of_a_300_mw_unit() -> None:
    output = run()
    assert output["pressure_kpa"] == pytest.approx(3.16, abs=0.02)
    assert output["cooling_water"]["temperature_rise_k"] == pytest.approx(8.40, abs=0.02)
    assert output["heat_transfer"]["overall_coefficient_w_per_m2_k"] == pytest.approx(2680, rel=0.02)
    assert output["warnings"] == []


@checks
@given(inlets, flows, duties, foulings, plugged)
def test_heat_balances_close_on_both_sides(
    inlet: float, flow: float, duty: float, fouling: float, plugged_percent: float
) -> None:
    """What the water takes up, what the surface passes and what the steam gives are one number."""
    try:
        output = run(
            inlet_temperature_c=inlet,
            flow_kg_s=flow,
            heat_duty_mw=duty,
            fouling_resistance_m2_k_per_w=fouling,
            plugged_tubes_percent=plugged_percent,
        )
    except CalculationError as refused:
        assume("would not condense below 100 °C" not in refused.message)
        raise
    water, transfer = output["cooling_water"], output["heat_transfer"]
    entering = steam.at_pt(2e5, inlet + 273.15).h
    leaving = steam.at_pt(2e5, water["outlet_temperature_c"] + 273.15).h
    assert flow * (leaving - entering) / 1e6 == pytest.approx(duty, rel=1e-4)
    passed = (
        transfer["overall_coefficient_w_per_m2_k"]
        * transfer["area_m2"]
        * transfer["log_mean_temperature_difference_k"]
        / 1e6
    )
    assert passed == pytest.approx(duty, rel=1e-4)
    saturation = output["saturation_temperature_c"]
    assert output["condensate_flow_kg_s"] * steam.latent_heat(output["pressure_kpa"] * 1e3) / 1e6 == pytest.approx(
        duty, rel=1e-4
    )
    hot, cold = saturation - inlet, saturation - water["outlet_temperature_c"]
    lmtd = (hot - cold) / math.log(hot / cold)
    assert transfer["log_mean_temperature_difference_k"] == pytest.approx(lmtd, rel=1e-2)
    assert inlet < water["outlet_temperature_c"] < saturation < 100
    assert steam.saturation_pressure(saturation + 273.15) / 1e3 == pytest.approx(output["pressure_kpa"], rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "rises"),
    [
        ([{"inlet_temperature_c": t} for t in (1, 5, 12, 18, 25, 32, 40)], True),
        ([{"heat_duty_mw": q} for q in (50, 100, 200, 334, 400, 500)], True),
        ([{"fouling_resistance_m2_k_per_w": r} for r in (0, 4e-5, 1e-4, 3e-4, 1e-3)], True),
        ([{"plugged_tubes_percent": share} for share in (0, 2, 5, 10, 20, 30)], True),
        ([{"flow_kg_s": flow} for flow in (4000, 6000, 8000, 9500, 12_000, 15_000)], False),
    ],
    ids=["warmer water", "more heat", "more fouling", "more plugged tubes", "more water"],
)
def test_pressure_follows(changes: list[dict[str, float]], rises: bool) -> None:
    pressures = [run(**change)["pressure_kpa"] for change in changes]
    assert pressures == sorted(pressures, reverse=not rises)
    assert len(set(pressures)) == len(pressures)


@checks
@given(inlets, flows, duties, st.floats(0.5, 5))
def test_warmer_water_raises_the_pressure_everywhere(inlet: float, flow: float, duty: float, warmer: float) -> None:
    assume(inlet + warmer <= 40)
    try:
        cold = run(inlet_temperature_c=inlet, flow_kg_s=flow, heat_duty_mw=duty)
        warm = run(inlet_temperature_c=inlet + warmer, flow_kg_s=flow, heat_duty_mw=duty)
    except CalculationError:
        assume(False)
    assert warm["pressure_kpa"] > cold["pressure_kpa"]


def test_with_hardly_any_heat_the_steam_is_as_cold_as_the_water() -> None:
    """The limit of no duty: saturation at the inlet temperature."""
    output = run(heat_duty_mw=20, inlet_temperature_c=20)
    assert output["saturation_temperature_c"] == pytest.approx(20, abs=1)


def test_a_conducting_wall_beats_a_thick_poor_one() -> None:
    geometries = manifest()
    brass = run_condenser(condenser_input(), geometries)
    attributes = geometries["geometries"][0]["attributes"]
    attributes["wall_conductivity_w_per_m_k"] = 15
    assert run_condenser(condenser_input(), geometries)["pressure_kpa"] > brass["pressure_kpa"]


def test_the_same_input_gives_the_same_document() -> None:
    assert run() == run()


def test_the_temperature_profile_runs_from_inlet_to_outlet() -> None:
    output = run()
    profile = output["temperature_profile"]
    assert [point["heat_fraction"] for point in profile] == [step / 10 for step in range(11)]
    assert profile[0]["water_c"] == 12.0
    assert profile[-1]["water_c"] == pytest.approx(output["cooling_water"]["outlet_temperature_c"], abs=1e-3)
    assert all(point["water_c"] < point["steam_c"] for point in profile)


def test_slow_and_fast_water_are_warned_of() -> None:
    assert "will foul" in run(flow_kg_s=3500, heat_duty_mw=100)["warnings"][0]
    assert "will erode" in run(flow_kg_s=16_000)["warnings"][0]


@pytest.mark.parametrize(
    ("changed", "path", "complaint"),
    [
        ({"flow_kg_s": -1}, ("cooling_water", "flow_kg_s"), "Flow must be a number from 500 to 60000 kg/s; it is -1."),
        ({"flow_kg_s": "much"}, ("cooling_water", "flow_kg_s"), 'it is "much".'),
        ({"heat_duty_mw": 1e9}, ("heat_duty_mw",), "a number from 20 to 1500 MW"),
        ({"heat_duty_mw": float("nan")}, ("heat_duty_mw",), "give a finite number"),
        ({"inlet_temperature_c": 60}, ("cooling_water", "inlet_temperature_c"), "from 1 to 40 °C"),
        ({"plugged_tubes_percent": 31}, ("plugged_tubes_percent",), "from 0 to 30 %"),
        ({"colour": "red"}, ("colour",), "is not a known property"),
        ({"geometry": "unknown"}, ("geometry",), "is no condenser of geometries_manifest.json; it lists: brass-28x1, "),
        ({"geometry": "hph-3"}, ("geometry",), "is no condenser"),
        ({"flow_kg_s": 1000, "heat_duty_mw": 400}, ("heat_duty_mw",), "would not condense below 100 °C"),
        ({"flow_kg_s": 60_000}, ("cooling_water", "flow_kg_s"), "no condenser tube stands more than 10 m/s"),
        ({"flow_kg_s": 500, "inlet_temperature_c": 1}, ("cooling_water", "flow_kg_s"), "not turbulent"),
    ],
)
def test_what_cannot_be_is_refused_with_the_fields_name(
    changed: dict[str, object], path: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(CalculationError) as refused:
        run(**changed)
    assert complaint in refused.value.message
    assert refused.value.field_path == path
    assert refused.value.file == "condenser_input.json"


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (lambda entry: entry["attributes"].pop("tube_count"), "attributes/tube_count: must be a number, not missing"),
        (lambda entry: entry["attributes"].update(passes=9), "attributes/passes: is 9; it must lie between 1 and 4"),
        (lambda entry: entry["attributes"].update(wall_thickness_mm=5, outer_diameter_mm=12), "a quarter"),
        (lambda entry: entry.pop("attributes"), "geometries/0/attributes: must be a JSON object"),
        (lambda entry: entry.pop("key"), "geometries/0/key: must be a text"),
    ],
)
def test_a_broken_manifest_is_refused_with_the_place(break_it: Any, complaint: str) -> None:
    geometries = manifest()
    break_it(geometries["geometries"][0])
    with pytest.raises(CalculationError, match=complaint) as refused:
        run_condenser(condenser_input(), geometries)
    assert str(refused.value).startswith("geometries_manifest.json/geometries/0")


def test_gnielinski_and_the_friction_factor_meet_the_value_read_in_the_source() -> None:
    """The `ht` library's documented example, 254.63 at Re 1e5, Pr 1.2, fd 0.0185; our factor there is 0.01799."""
    assert friction_factor(1e5) == pytest.approx(0.018, abs=1e-4)
    f = 0.0185 / 8
    expected = f * 99_000 * 1.2 / (1 + 12.7 * math.sqrt(f) * (1.2 ** (2 / 3) - 1))
    assert expected == pytest.approx(254.62682749359632)
    scaled = friction_factor(1e5) / 8
    assert gnielinski(1e5, 1.2) == pytest.approx(
        scaled * 99_000 * 1.2 / (1 + 12.7 * math.sqrt(scaled) * (1.2 ** (2 / 3) - 1))
    )


def test_the_film_coefficient_by_loading_is_nusselts_by_temperature_difference() -> None:
    """Both forms of one theory: 0.725 (k³ρ²gr/(µDΔT))^¼ follows from the loading form with G = h πDΔT / r."""
    film = Liquid(density=992.0, heat_capacity=4179.0, viscosity=6.5e-4, conductivity=0.628)
    diameter, latent, loading = 0.028, 2.4e6, 2e-3
    coefficient = film_coefficient(loading, film)
    difference = loading * latent / (coefficient * math.pi * diameter)
    by_difference = (
        film.conductivity**3 * film.density**2 * 9.80665 * latent / (film.viscosity * diameter * difference)
    ) ** 0.25
    assert coefficient / by_difference == pytest.approx(0.725, rel=5e-3)

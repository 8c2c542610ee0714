"""IAPWS-IF97's verification values: tables 5 (region 1), 15 (region 2), 35 and 36 (saturation line).

As read in the test suite of an independent implementation, github.com/jjgomera/iapws, `test.py` at 18d2c48.
"""

from typing import TypeAlias

import pytest
from CoolProp import CoolProp

from app.demo.engineering import steam

VALUES: TypeAlias = list[tuple[float, ...]]
REGION_1: VALUES = [
    # T K, p MPa, v m³/kg, h kJ/kg, u kJ/kg, s kJ/(kg K), w m/s
    (300, 3, 0.100215168e-2, 0.115331273e3, 0.112324818e3, 0.392294792, 0.150773921e4),
    (300, 80, 0.971180894e-3, 0.184142828e3, 0.106448356e3, 0.368563852, 0.163469054e4),
    (500, 3, 0.120241800e-2, 0.975542239e3, 0.971934985e3, 0.258041912e1, 0.124071337e4),
]
REGION_2: VALUES = [
    (300, 0.0035, 0.394913866e2, 0.254991145e4, 0.241169160e4, 0.852238967e1, 0.427920172e3),
    (700, 0.0035, 0.923015898e2, 0.333568375e4, 0.301262819e4, 0.101749996e2, 0.644289068e3),
    (700, 30, 0.542946619e-2, 0.263149474e4, 0.246861076e4, 0.517540298e1, 0.480386523e3),
]
SATURATION_PRESSURE = [(300, 0.353658941e-2), (500, 0.263889776e1), (600, 0.123443146e2)]
SATURATION_TEMPERATURE = [(0.1, 0.372755919e3), (1, 0.453035632e3), (10, 0.584149488e3)]


@pytest.mark.parametrize(("t", "p", "v", "h", "u", "s", "w"), REGION_1 + REGION_2)
def test_water_and_steam_meet_the_verification_tables(
    t: float, p: float, v: float, h: float, u: float, s: float, w: float
) -> None:
    state = steam.at_pt(p * 1e6, t)
    assert state.h == pytest.approx(h * 1e3, rel=1e-8)
    assert state.s == pytest.approx(s * 1e3, rel=1e-8)
    assert state.quality is None
    abstract = CoolProp.AbstractState("IF97", "Water")
    abstract.update(CoolProp.PT_INPUTS, p * 1e6, t)
    assert 1 / abstract.rhomass() == pytest.approx(v, rel=1e-8)
    assert abstract.umass() == pytest.approx(u * 1e3, rel=1e-8)
    assert abstract.speed_sound() == pytest.approx(w, rel=1e-8)


@pytest.mark.parametrize(("t", "p"), SATURATION_PRESSURE)
def test_saturation_pressure_meets_the_verification_table(t: float, p: float) -> None:
    assert steam.saturation_pressure(t) == pytest.approx(p * 1e6, rel=1e-8)


@pytest.mark.parametrize(("p", "t"), SATURATION_TEMPERATURE)
def test_saturation_temperature_meets_the_verification_table(p: float, t: float) -> None:
    assert steam.saturation_temperature(p * 1e6) == pytest.approx(t, rel=1e-8)


@pytest.mark.parametrize("p", [1e3, 4e3, 1e5, 2e6, 1e7])
def test_along_evaporation_the_second_law_holds(p: float) -> None:
    """T Δs = Δh between boiling water and dry steam, as the phases are in equilibrium."""
    wet, dry = steam.saturated_liquid(p), steam.saturated_vapour(p)
    assert wet.t * (dry.s - wet.s) == pytest.approx(dry.h - wet.h, rel=2e-4)
    assert steam.latent_heat(p) == dry.h - wet.h


@pytest.mark.parametrize(("p", "t"), [(23.5e6, 813.15), (3.6e6, 813.15), (1e5, 300.0), (31e6, 540.0)])
def test_the_backward_equations_return_to_the_state(p: float, t: float) -> None:
    """Backward T(p,h) and T(p,s) are fits of their own, good to a few hundredths of a kelvin."""
    state = steam.at_pt(p, t)
    assert steam.at_ph(p, state.h).t == pytest.approx(t, abs=0.03)
    assert steam.at_ps(p, state.s).h == pytest.approx(state.h, abs=50)


def test_inside_the_wet_region_quality_mixes_the_phases() -> None:
    wet, dry = steam.saturated_liquid(4e3), steam.saturated_vapour(4e3)
    mixed = steam.at_ph(4e3, 0.1 * wet.h + 0.9 * dry.h)
    assert mixed.quality == pytest.approx(0.9, abs=1e-9)
    assert mixed.s == pytest.approx(0.1 * wet.s + 0.9 * dry.s, rel=1e-5)

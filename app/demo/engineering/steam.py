"""Water and steam by IAPWS-IF97, as CoolProp computes it; SI throughout: Pa, K, J/kg, J/(kg K)."""

from dataclasses import dataclass

from CoolProp.CoolProp import (
    PQ_INPUTS,
    PT_INPUTS,
    QT_INPUTS,
    AbstractState,
    HmassP_INPUTS,
    PSmass_INPUTS,
    input_pairs,
)

ZERO_CELSIUS = 273.15


@dataclass(frozen=True, slots=True)
class State:
    """A thermodynamic state: pressure Pa, temperature K, enthalpy J/kg, entropy J/(kg K)."""

    p: float
    t: float
    h: float
    s: float
    quality: float | None
    """Mass fraction of vapour, 0 to 1, inside the two-phase region; None outside it."""


@dataclass(frozen=True, slots=True)
class Liquid:
    """What heat transfer asks of liquid water: kg/m³, J/(kg K), Pa s, W/(m K)."""

    density: float
    heat_capacity: float
    viscosity: float
    conductivity: float

    @property
    def prandtl(self) -> float:
        """Viscosity times heat capacity over conductivity; dimensionless."""
        return self.viscosity * self.heat_capacity / self.conductivity


def at_pt(p: float, t: float) -> State:
    """The single-phase state at pressure Pa and temperature K."""
    return _state(PT_INPUTS, p, t)


def at_ps(p: float, s: float) -> State:
    """The state at pressure Pa and entropy J/(kg K), wet or dry."""
    return _state(PSmass_INPUTS, p, s)


def at_ph(p: float, h: float) -> State:
    """The state at pressure Pa and enthalpy J/kg, wet or dry."""
    return _state(HmassP_INPUTS, h, p)


def saturated_liquid(p: float) -> State:
    """Boiling water at pressure Pa."""
    return _state(PQ_INPUTS, p, 0.0)


def saturated_vapour(p: float) -> State:
    """Dry saturated steam at pressure Pa."""
    return _state(PQ_INPUTS, p, 1.0)


def saturation_pressure(t: float) -> float:
    """Pa at temperature K, 273.15 to 647.096."""
    return _state(QT_INPUTS, 0.0, t).p


def saturation_temperature(p: float) -> float:
    """K at pressure Pa, 611.2 to 22.064e6."""
    return saturated_liquid(p).t


def liquid_temperature(p: float, h: float) -> float:
    """K of subcooled water at pressure Pa and enthalpy J/kg.

    The backward equation T(p,h) is off by up to 0.025 K, which is 1 % of a cooling water's rise; one Newton step on the
    forward equation mends it.
    """
    near = at_ph(p, h).t
    return near + (h - at_pt(p, near).h) / liquid_at_pt(p, near).heat_capacity


def latent_heat(p: float) -> float:
    """J/kg at pressure Pa."""
    return saturated_vapour(p).h - saturated_liquid(p).h


def liquid_at_pt(p: float, t: float) -> Liquid:
    """Transport properties of subcooled water at pressure Pa and temperature K."""
    return _liquid(PT_INPUTS, p, t)


def boiling_liquid(p: float) -> Liquid:
    """Transport properties of boiling water at pressure Pa."""
    return _liquid(PQ_INPUTS, p, 0.0)


# A fresh AbstractState each time: it is mutable and not safe between threads, and making one takes 2 microseconds.
def _state(pair: input_pairs, first: float, second: float) -> State:
    state = AbstractState("IF97", "Water")
    state.update(pair, first, second)
    quality = state.Q()
    return State(
        p=state.p(), t=state.T(), h=state.hmass(), s=state.smass(), quality=quality if 0 <= quality <= 1 else None
    )


def _liquid(pair: input_pairs, first: float, second: float) -> Liquid:
    state = AbstractState("IF97", "Water")
    state.update(pair, first, second)
    return Liquid(state.rhomass(), state.cpmass(), state.viscosity(), state.conductivity())

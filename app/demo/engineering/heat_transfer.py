"""Heat transfer through a condenser tube: water film, fouling, wall and condensate film in series.

Sources, with what was read in them, stand in docs/engineering.md. SI throughout.
"""

import math
from dataclasses import dataclass

from app.demo.engineering.geometry import TubeBundle
from app.demo.engineering.steam import Liquid

GRAVITY = 9.80665
GNIELINSKI_REYNOLDS = (2300.0, 5e6)


def friction_factor(reynolds: float) -> float:
    """Darcy's friction factor of a smooth tube in turbulent flow: (1.82 log10 Re - 1.64)^-2."""
    return math.pow(1.82 * math.log10(reynolds) - 1.64, -2)


def gnielinski(reynolds: float, prandtl: float) -> float:
    """Nusselt number of turbulent flow in a tube, after Gnielinski; for 2300 ≤ Re ≤ 5e6 and 0.5 < Pr ≤ 2000."""
    f = friction_factor(reynolds) / 8
    return f * (reynolds - 1000) * prandtl / (1 + 12.7 * math.sqrt(f) * (math.pow(prandtl, 2 / 3) - 1))


def film_coefficient(loading: float, film: Liquid) -> float:
    """Coefficient of a laminar condensate film on a horizontal tube, W/(m² K), after Nusselt as Kern writes it.

    h (µ² / (k³ ρ² g))^(1/3) = 1.51 (4 G / µ)^(-1/3), with the loading G in kg/s of condensate per metre of tube that
    leaves its underside; the vapour's density is neglected against the liquid's.
    """
    number = math.cbrt(film.conductivity**3 * film.density**2 * GRAVITY / film.viscosity**2)
    return 1.51 * number / math.cbrt(4 * loading / film.viscosity)


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Heat transfer coefficients, W/(m² K): each on its own surface, the overall one on the outer."""

    water: float
    film: float
    overall: float
    reynolds: float
    velocity: float
    """Of the water in the tubes, m/s."""


def water_velocity(bundle: TubeBundle, flow: float, density: float, plugged: float) -> float:
    """Mean velocity in the tubes, m/s, of `flow` kg/s."""
    return flow / (density * bundle.flow_area(plugged))


def coefficients(
    bundle: TubeBundle, *, flow: float, water: Liquid, condensate: float, film: Liquid, fouling: float, plugged: float
) -> Coefficients:
    """All resistances in series, referred to the outer surface.

    `flow` kg/s of water, `condensate` kg/s of condensing steam, `fouling` m² K/W inside, `plugged` a fraction.
    """
    velocity = water_velocity(bundle, flow, water.density, plugged)
    reynolds = water.density * velocity * bundle.inner_diameter / water.viscosity
    inside = gnielinski(reynolds, water.prandtl) * water.conductivity / bundle.inner_diameter
    tube_length = bundle.open_tubes(plugged) * bundle.length
    outside = film_coefficient(condensate / tube_length * bundle.tier_rows, film)
    ratio = bundle.outer_diameter / bundle.inner_diameter
    wall = bundle.outer_diameter * math.log(ratio) / (2 * bundle.conductivity)
    overall = 1 / (1 / outside + wall + ratio * (fouling + 1 / inside))
    return Coefficients(water=inside, film=outside, overall=overall, reynolds=reynolds, velocity=velocity)

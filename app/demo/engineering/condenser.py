"""Surface condenser: the pressure at which it passes a given heat duty to its cooling water.

Isothermal condensation: effectiveness 1 - exp(-NTU), so the saturation temperature is the inlet temperature plus
duty over (effectiveness times heat capacity flow). Film and water properties depend on the answer, hence the iteration.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from app.demo.engineering import steam
from app.demo.engineering.documents import Json, Reader, read_input, require_file
from app.demo.engineering.errors import CalculationError
from app.demo.engineering.geometry import MANIFEST, TubeBundle, tube_bundle
from app.demo.engineering.heat_transfer import GNIELINSKI_REYNOLDS, Coefficients, coefficients, water_velocity
from app.demo.engineering.rounding import shown, significant

INPUT = "condenser_input.json"
WATER_PRESSURE = 2e5
HOTTEST = 100.0 + steam.ZERO_CELSIUS
"""Above it this is no condenser of a turbine; the correlations have left their ground well before."""
GOOD_VELOCITY = (0.9, 2.8)
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Duty:
    """What the condenser is asked for: heat W, water kg/s and K, fouling m² K/W, plugged fraction."""

    heat: float
    flow: float
    inlet: float
    fouling: float
    plugged: float


@dataclass(frozen=True, slots=True)
class Operation:
    """Where the condenser settles: saturation and outlet temperature K, pressure Pa."""

    saturation: float
    pressure: float
    outlet: float
    heat_capacity: float
    """Mean heat capacity of the water between inlet and outlet, J/(kg K)."""
    ntu: float
    effectiveness: float
    coefficients: Coefficients

    def lmtd(self, inlet: float) -> float:
        """Logarithmic mean temperature difference, K."""
        return (self.outlet - inlet) / self.ntu


def condenser(files: Mapping[str, Json]) -> Json:
    """`condenser_input.json` and `geometries_manifest.json` to `condenser_output.json`.

    Raises `CalculationError` where the documents are invalid or no steady state exists below 100 °C.
    """
    document = read_input(files, "condenser", INPUT)
    bundle = tube_bundle(require_file(files, MANIFEST), document.text("geometry"), asked_by=document)
    duty = _duty(document)
    _require_turbulent(document, bundle, duty)
    return _report(bundle, duty, settle(bundle, duty, document))


def settle(bundle: TubeBundle, duty: Duty, document: Reader) -> Operation:
    """The steady state, by fixed point on the saturation temperature.

    Each round the properties follow the last answer; they change it by a few per cent only, so it converges fast.
    """
    inlet = steam.at_pt(WATER_PRESSURE, duty.inlet)
    try:
        outlet = steam.liquid_temperature(WATER_PRESSURE, inlet.h + duty.heat / duty.flow)
    except (ValueError, IndexError) as unphysical:
        raise _too_hot(document) from unphysical
    if outlet >= HOTTEST:
        raise _too_hot(document)
    capacity = duty.heat / duty.flow / (outlet - duty.inlet)
    water = steam.liquid_at_pt(WATER_PRESSURE, (duty.inlet + outlet) / 2)
    saturation = min(outlet + 5, HOTTEST)
    for _ in range(100):
        operation = _at(bundle, duty, water=water, capacity=capacity, outlet=outlet, guess=saturation)
        if operation.saturation >= HOTTEST:
            raise _too_hot(document)
        if abs(operation.saturation - saturation) < TOLERANCE:
            return operation
        saturation = operation.saturation
    raise CalculationError("no steady state was found.", file=INPUT)


def _at(
    bundle: TubeBundle, duty: Duty, *, water: steam.Liquid, capacity: float, outlet: float, guess: float
) -> Operation:
    pressure = steam.saturation_pressure(guess)
    found = coefficients(
        bundle,
        flow=duty.flow,
        water=water,
        condensate=duty.heat / steam.latent_heat(pressure),
        film=steam.boiling_liquid(pressure),
        fouling=duty.fouling,
        plugged=duty.plugged,
    )
    ntu = found.overall * bundle.outer_area(duty.plugged) / (duty.flow * capacity)
    effectiveness = -math.expm1(-ntu)
    saturation = duty.inlet + (outlet - duty.inlet) / effectiveness
    return Operation(
        saturation=saturation,
        pressure=steam.saturation_pressure(min(saturation, HOTTEST)),
        outlet=outlet,
        heat_capacity=capacity,
        ntu=ntu,
        effectiveness=effectiveness,
        coefficients=found,
    )


def _duty(document: Reader) -> Duty:
    water = document.object("cooling_water")
    return Duty(
        heat=document.number("heat_duty_mw") * 1e6,
        flow=water.number("flow_kg_s"),
        inlet=water.number("inlet_temperature_c") + steam.ZERO_CELSIUS,
        fouling=document.number("fouling_resistance_m2_k_per_w", 4e-5),
        plugged=document.number("plugged_tubes_percent", 0) / 100,
    )


def _require_turbulent(document: Reader, bundle: TubeBundle, duty: Duty) -> None:
    water = steam.liquid_at_pt(WATER_PRESSURE, duty.inlet)
    velocity = water_velocity(bundle, duty.flow, water.density, duty.plugged)
    reynolds = water.density * velocity * bundle.inner_diameter / water.viscosity
    low, high = GNIELINSKI_REYNOLDS
    if reynolds < low:
        raise document.object("cooling_water").error(
            "flow_kg_s",
            f"gives {velocity:.3f} m/s in the tubes (Re {reynolds:.0f}): not turbulent, more flow is needed.",
        )
    if reynolds > high or velocity > 10:
        raise document.object("cooling_water").error(
            "flow_kg_s", f"gives {velocity:.1f} m/s in the tubes; no condenser tube stands more than 10 m/s."
        )


def _too_hot(document: Reader) -> CalculationError:
    return document.error(
        "heat_duty_mw",
        "the steam would not condense below 100 °C: less heat, or more or colder cooling water is needed.",
    )


def _report(bundle: TubeBundle, duty: Duty, found: Operation) -> Json:
    rates = found.coefficients
    return {
        "calculation": "condenser",
        "geometry": bundle.key,
        "pressure_kpa": significant(found.pressure / 1e3, 7),
        "saturation_temperature_c": shown(found.saturation - steam.ZERO_CELSIUS, 4),
        "heat_duty_mw": significant(duty.heat / 1e6, 9),
        "condensate_flow_kg_s": significant(duty.heat / steam.latent_heat(found.pressure)),
        "cooling_water": {
            "flow_kg_s": significant(duty.flow, 9),
            "inlet_temperature_c": shown(duty.inlet - steam.ZERO_CELSIUS, 4),
            "outlet_temperature_c": shown(found.outlet - steam.ZERO_CELSIUS, 4),
            "temperature_rise_k": shown(found.outlet - duty.inlet, 4),
            "velocity_m_s": significant(rates.velocity),
            "reynolds": significant(rates.reynolds),
        },
        "heat_transfer": {
            "area_m2": significant(bundle.outer_area(duty.plugged)),
            "overall_coefficient_w_per_m2_k": significant(rates.overall),
            "water_coefficient_w_per_m2_k": significant(rates.water),
            "condensate_film_coefficient_w_per_m2_k": significant(rates.film),
            "ntu": significant(found.ntu),
            "effectiveness": significant(found.effectiveness),
            "log_mean_temperature_difference_k": significant(found.lmtd(duty.inlet)),
            "terminal_temperature_difference_k": shown(found.saturation - found.outlet, 4),
        },
        "temperature_profile": _profile(duty, found),
        "warnings": _warnings(found),
    }


def _profile(duty: Duty, found: Operation) -> Json:
    """Temperatures along the heat passed: the t-Q curve, eleven points."""
    steam_temperature = shown(found.saturation - steam.ZERO_CELSIUS, 3)
    rise = found.outlet - duty.inlet
    return [
        {
            "heat_fraction": step / 10,
            "steam_c": steam_temperature,
            "water_c": shown(duty.inlet - steam.ZERO_CELSIUS + rise * step / 10, 3),
        }
        for step in range(11)
    ]


def _warnings(found: Operation) -> Json:
    slow, fast = GOOD_VELOCITY
    velocity = found.coefficients.velocity
    warnings: list[Json] = []
    if velocity < slow:
        warnings.append(f"Water velocity {velocity:.2f} m/s is below {slow} m/s: the tubes will foul.")
    if velocity > fast:
        warnings.append(f"Water velocity {velocity:.2f} m/s is above {fast} m/s: the tubes will erode.")
    if found.pressure > 20e3:
        warnings.append(f"Condenser pressure {found.pressure / 1e3:.1f} kPa is beyond what turbines usually allow.")
    return warnings

"""Balance of the turbine plant: power, heat rate and where the heat goes, from all three documents.

Control volume: the whole water and steam cycle. What comes in (boiler heat, pump work) less what goes out (work of the
turbine, condenser heat) is reported as the closure; only rounding of the other documents should remain in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.demo.engineering import steam
from app.demo.engineering.documents import Json, Reader, read_input, require_file
from app.demo.engineering.errors import CalculationError
from app.demo.engineering.rounding import shown, significant
from app.demo.engineering.steam import State
from app.demo.engineering.turbine import MEGA, Turbine, read_turbine, require_pressure_below

INPUT = "balance_input.json"
CONDENSER = "condenser_output.json"
HEATERS = "feedwater_heaters_output.json"
CONDENSATE_PUMP_EFFICIENCY = 0.78
"""Own design datum; the pump takes a few hundred kW of 300 MW."""
WETTEST_EXHAUST = 0.75


@dataclass(frozen=True, slots=True)
class Heaters:
    """What the balance reads of the heaters' result: flows kg/s by extraction, states in SI."""

    flows: Mapping[str, float]
    feedwater_enthalpy: float
    condensate_flow: float
    condensate_temperature: float
    condensate_pressure: float
    condensate_enthalpy: float
    drain_flow: float
    drain_enthalpy: float
    feed_pump_power: float
    feed_pump_motor: float


@dataclass(frozen=True, slots=True)
class Balance:
    """The cycle's energy flows, W, and the flows and states behind them."""

    turbine: Turbine
    heaters: Heaters
    exhaust: State
    hotwell: State
    exhaust_flow: float
    reheat_flow: float
    power_of: Mapping[str, float]
    """Internal power of each section."""
    main_heat: float
    reheat_heat: float
    condenser_heat: float
    condensate_pump_power: float
    condensate_mismatch: float
    """Heat that would bring the hotwell's water to the temperature that the heaters were calculated with."""

    @property
    def internal_power(self) -> float:
        """Work that the steam does on the shaft."""
        return sum(self.power_of.values())

    @property
    def heat_input(self) -> float:
        """Heat from the boiler."""
        return self.main_heat + self.reheat_heat

    @property
    def residual(self) -> float:
        """What enters the cycle less what leaves it."""
        entering = (
            self.heat_input + self.heaters.feed_pump_power + self.condensate_pump_power + self.condensate_mismatch
        )
        return entering - self.internal_power - self.condenser_heat


def balance(files: Mapping[str, Json]) -> Json:
    """`balance_input.json` and the outputs of condenser and feedwater heaters to `balance_output.json`.

    Raises `CalculationError` where a document is invalid, the heaters were calculated for another turbine, or the
    condenser's pressure does not fit the turbine.
    """
    document = read_input(files, "balance", INPUT)
    turbine = read_turbine(document.object("turbine"))
    condenser = Reader(require_file(files, CONDENSER), file=CONDENSER)
    results = Reader(require_file(files, HEATERS), file=HEATERS)
    heaters = _read_heaters(results, turbine)
    _require_same_pump(document, results)
    pressure = condenser.number("pressure_kpa") * 1e3
    if not 700 <= pressure <= 101_325:
        raise condenser.error(
            "pressure_kpa", f"is {pressure / 1e3:g} kPa; a condenser works between 0.7 and 101.3 kPa."
        )
    require_pressure_below(turbine, pressure, document.object("turbine"))
    solved = solve_balance(turbine, heaters, pressure)
    return _report(document, condenser, solved)


def solve_balance(turbine: Turbine, heaters: Heaters, pressure: float) -> Balance:
    """All flows of the cycle at a condenser pressure of `pressure` Pa.

    Raises `CalculationError` where the heaters ask for more steam than there is or the exhaust is impossibly wet.
    """
    exhaust = turbine.exhaust(pressure)
    if exhaust.quality is not None and exhaust.quality < WETTEST_EXHAUST:
        raise CalculationError(
            f"the exhaust steam would be {100 * (1 - exhaust.quality):.0f} % water; check temperatures and efficiencies.",
            ("turbine", "sections", "lp", "isentropic_efficiency"),
            file=INPUT,
        )
    hotwell = steam.saturated_liquid(pressure)
    power_of, reheat_flow, exhaust_flow = _expansion(turbine, heaters, exhaust)
    pump = _condensate_pump(hotwell, heaters)
    return Balance(
        turbine=turbine,
        heaters=heaters,
        exhaust=exhaust,
        hotwell=hotwell,
        exhaust_flow=exhaust_flow,
        reheat_flow=reheat_flow,
        power_of=power_of,
        main_heat=turbine.flow * (turbine.main.h - heaters.feedwater_enthalpy),
        reheat_heat=reheat_flow * (turbine.hot_reheat.h - turbine.cold_reheat.h),
        condenser_heat=exhaust_flow * (exhaust.h - hotwell.h)
        + heaters.drain_flow * (heaters.drain_enthalpy - hotwell.h),
        condensate_pump_power=pump,
        condensate_mismatch=heaters.condensate_flow * (heaters.condensate_enthalpy - hotwell.h) - pump,
    )


def _expansion(turbine: Turbine, heaters: Heaters, exhaust: State) -> tuple[dict[str, float], float, float]:
    """Internal power of each section W, reheat flow and exhaust flow kg/s."""
    power: dict[str, float] = {}
    flow, reheat_flow = turbine.flow, 0.0
    ends = {
        "hp": (turbine.main, turbine.cold_reheat),
        "ip": (turbine.hot_reheat, turbine.crossover),
        "lp": (turbine.crossover, exhaust),
    }
    for section, (inlet, outlet) in ends.items():
        state, work = inlet, 0.0
        if section == "ip":
            reheat_flow = flow
        for extraction in turbine.of(section):
            work += flow * (state.h - extraction.state.h)
            flow, state = flow - heaters.flows[extraction.name], extraction.state
        if flow <= 0:
            raise CalculationError(
                f"the heaters take more steam than the {section.upper()} section has.", ("extractions",), file=HEATERS
            )
        power[section] = work + flow * (state.h - outlet.h)
    return power, reheat_flow, flow


def _condensate_pump(hotwell: State, heaters: Heaters) -> float:
    ideal = steam.at_ps(heaters.condensate_pressure, hotwell.s)
    return heaters.condensate_flow * (ideal.h - hotwell.h) / CONDENSATE_PUMP_EFFICIENCY


def _read_heaters(results: Reader, turbine: Turbine) -> Heaters:
    """The heaters' result, which must be of this very turbine: same steam flow, same extractions in the same states."""
    feedwater, condensate = results.object("feedwater"), results.object("condensate")
    flow = feedwater.number("flow_kg_s")
    if not _close(flow, turbine.flow, 1e-6):
        raise feedwater.error(
            "flow_kg_s",
            f"is {flow:g} kg/s, but the main steam flow of {INPUT} is {turbine.flow:g}: calculate the heaters again.",
        )
    flows = {}
    listed = {values.text("name"): values for values in results.objects("extractions")}
    for extraction in turbine.extractions:
        values = listed.get(extraction.name)
        if values is None or len(listed) != len(turbine.extractions):
            raise results.error(
                "extractions",
                f"are not those of the turbine in {INPUT}: {', '.join(sorted(listed))}; calculate the heaters again.",
            )
        if not _close(values.number("enthalpy_kj_per_kg") * 1e3, extraction.state.h, 1e-5) or not _close(
            values.number("pressure_mpa") * MEGA, extraction.state.p, 1e-5
        ):
            raise values.error(
                "enthalpy_kj_per_kg",
                f"and pressure are not what the turbine in {INPUT} has at {extraction.name}: calculate the heaters again.",
            )
        flows[extraction.name] = values.number("flow_kg_s")
    drains, pump = results.object("drains_to_condenser"), results.object("feed_pump")
    return Heaters(
        flows=flows,
        feedwater_enthalpy=feedwater.number("enthalpy_kj_per_kg") * 1e3,
        condensate_flow=condensate.number("flow_kg_s"),
        condensate_temperature=condensate.number("temperature_c") + steam.ZERO_CELSIUS,
        condensate_pressure=condensate.number("pressure_mpa") * MEGA,
        condensate_enthalpy=condensate.number("enthalpy_kj_per_kg") * 1e3,
        drain_flow=drains.number("flow_kg_s"),
        drain_enthalpy=drains.number("enthalpy_kj_per_kg") * 1e3,
        feed_pump_power=pump.number("shaft_power_mw") * MEGA,
        feed_pump_motor=pump.number("motor_power_mw") * MEGA,
    )


def _require_same_pump(document: Reader, results: Reader) -> None:
    expected = document.object("feedwater").object("feed_pump").number("discharge_pressure_mpa")
    calculated = results.object("feedwater")
    if not _close(calculated.number("pressure_mpa"), expected, 1e-6):
        raise calculated.error(
            "pressure_mpa", f"is not the feed pump's {expected:g} MPa in {INPUT}: calculate the heaters again."
        )


def _close(first: float, second: float, relative: float) -> bool:
    return abs(first - second) <= relative * max(abs(first), abs(second))


def _report(document: Reader, condenser: Reader, solved: Balance) -> Json:
    generator = document.object("generator")
    shaft = solved.internal_power * generator.number("mechanical_efficiency")
    gross = shaft * generator.number("efficiency")
    pumps = solved.heaters.feed_pump_motor + solved.condensate_pump_power
    net = gross - pumps
    if net <= 0:
        raise CalculationError("the plant would use more power than it makes.", ("turbine",), file=INPUT)
    boiler = document.object("boiler").number("efficiency")
    fuel = solved.heat_input / boiler
    assumed = condenser.number("heat_duty_mw") * MEGA
    return {
        "calculation": "balance",
        "power_mw": significant(gross / MEGA),
        "net_power_mw": significant(net / MEGA),
        "heat_rate_kj_per_kwh": significant(3600 * solved.heat_input / gross),
        "net_heat_rate_kj_per_kwh": significant(3600 * solved.heat_input / net),
        "cycle_efficiency": significant(gross / solved.heat_input),
        "plant_efficiency": significant(net / fuel),
        "condenser": {
            "pressure_kpa": condenser.number("pressure_kpa"),
            "heat_duty_mw": significant(solved.condenser_heat / MEGA),
            "assumed_heat_duty_mw": significant(assumed / MEGA),
            "exhaust_flow_kg_s": significant(solved.exhaust_flow),
            "exhaust_quality": significant(1.0 if solved.exhaust.quality is None else solved.exhaust.quality),
            "hotwell_temperature_c": shown(solved.hotwell.t - steam.ZERO_CELSIUS, 3),
        },
        "steam": {
            "main_flow_kg_s": significant(solved.turbine.flow),
            "reheat_flow_kg_s": significant(solved.reheat_flow),
            "extraction_flows_kg_s": {name: significant(flow) for name, flow in solved.heaters.flows.items()},
        },
        "section_power_mw": {name: significant(power / MEGA) for name, power in solved.power_of.items()},
        "heat_input_mw": {
            "main_steam": significant(solved.main_heat / MEGA),
            "reheat": significant(solved.reheat_heat / MEGA),
            "total": significant(solved.heat_input / MEGA),
        },
        "expansion_line": _expansion_line(solved),
        "energy_flows": _energy_flows(solved, shaft=shaft, gross=gross, fuel=fuel),
        "closure": _closure(solved),
        "warnings": _warnings(solved, assumed),
    }


def _expansion_line(solved: Balance) -> Json:
    """The steam's states from stop valves to condenser, for an h-s diagram."""
    turbine = solved.turbine
    points = [("main_steam", turbine.main)]
    points += [(extraction.name, extraction.state) for extraction in turbine.of("hp")]
    points += [("cold_reheat", turbine.cold_reheat), ("hot_reheat", turbine.hot_reheat)]
    points += [(extraction.name, extraction.state) for extraction in turbine.of("ip")]
    points += [("crossover", turbine.crossover)]
    points += [(extraction.name, extraction.state) for extraction in turbine.of("lp")]
    points += [("exhaust", solved.exhaust)]
    return [
        {
            "point": name,
            "pressure_mpa": significant(state.p / MEGA),
            "temperature_c": shown(state.t - steam.ZERO_CELSIUS, 3),
            "enthalpy_kj_per_kg": shown(state.h / 1e3, 3),
            "entropy_kj_per_kg_k": shown(state.s / 1e3, 6),
        }
        for name, state in points
    ]


def _energy_flows(solved: Balance, *, shaft: float, gross: float, fuel: float) -> Json:
    """The links of a Sankey diagram, MW; what enters `cycle` leaves it, but for the closure."""
    links = [
        ("fuel", "cycle", solved.heat_input),
        ("fuel", "boiler_losses", fuel - solved.heat_input),
        ("feed_pump", "cycle", solved.heaters.feed_pump_power),
        ("condensate_pump", "cycle", solved.condensate_pump_power),
        ("condensate_mismatch", "cycle", solved.condensate_mismatch),
        ("cycle", "turbine", solved.internal_power),
        ("cycle", "cooling_water", solved.condenser_heat),
        ("turbine", "mechanical_losses", solved.internal_power - shaft),
        ("turbine", "generator_losses", shaft - gross),
        ("turbine", "grid_and_auxiliaries", gross),
    ]
    return [
        {"source": source, "target": target, "value_mw": significant(value / MEGA)} for source, target, value in links
    ]


def _closure(solved: Balance) -> Json:
    mass = solved.exhaust_flow + solved.heaters.drain_flow - solved.heaters.condensate_flow
    return {
        "mass_residual_kg_s": shown(mass, 5),
        "energy_residual_kw": shown(solved.residual / 1e3, 2),
        "condensate_mismatch_mw": shown(solved.condensate_mismatch / MEGA, 4),
    }


def _warnings(solved: Balance, assumed_duty: float) -> Json:
    warnings: list[Json] = []
    mismatch = solved.heaters.condensate_temperature - solved.hotwell.t
    if abs(mismatch) > 3:
        warnings.append(
            f"The heaters were calculated for condensate {abs(mismatch):.1f} K {'warmer' if mismatch > 0 else 'colder'} "
            f"than the condenser gives, {solved.hotwell.t - steam.ZERO_CELSIUS:.1f} °C."
        )
    if not _close(assumed_duty, solved.condenser_heat, 0.03):
        warnings.append(
            f"The condenser was calculated for {assumed_duty / MEGA:.1f} MW; the balance gives it "
            f"{solved.condenser_heat / MEGA:.1f} MW. Calculate the condenser again with this duty."
        )
    if solved.exhaust.quality is not None and solved.exhaust.quality < 0.87:
        warnings.append(
            f"The exhaust steam is {100 * (1 - solved.exhaust.quality):.1f} % water: the last blades erode."
        )
    return warnings

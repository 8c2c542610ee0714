"""Feedwater heaters: which steam flows the turbine must give up, and how hot the boiler's water gets."""

from collections.abc import Mapping

from app.demo.engineering import steam
from app.demo.engineering.documents import Json, Reader, read_input
from app.demo.engineering.errors import CalculationError
from app.demo.engineering.heater_string import Heater, HeaterString, Pump, Running, StringError, solve_string
from app.demo.engineering.rounding import shown, significant
from app.demo.engineering.turbine import MEGA, Turbine, extraction_named, read_turbine

INPUT = "feedwater_heaters_input.json"


def feedwater_heaters(files: Mapping[str, Json]) -> Json:
    """`feedwater_heaters_input.json` to `feedwater_heaters_output.json`.

    Raises `CalculationError` where the document is invalid or a heater's balance has no physical answer.
    """
    document = read_input(files, "feedwater_heaters", INPUT)
    turbine = read_turbine(document.object("turbine"))
    designs = read_heaters(document, turbine)
    pump = _pump(document, designs)
    condensate = _condensate(document, designs)
    try:
        solved = solve_string(designs, feedwater_flow=turbine.flow, condensate=condensate, pump=pump)
    except StringError as fault:
        raise CalculationError(fault.message, ("heaters", str(fault.position), fault.field), file=INPUT) from fault
    motor = document.object("feed_pump").number("motor_efficiency")
    return _report(turbine, solved, motor)


def read_heaters(document: Reader, turbine: Turbine) -> list[Heater]:
    """The heaters in the water's order, each with its steam.

    Raises `CalculationError` on unknown or doubly used extractions and unless there is exactly one deaerator.
    """
    heaters: list[Heater] = []
    for values in document.objects("heaters"):
        bled = extraction_named(turbine, values.text("extraction"))
        if bled is None:
            names = ", ".join(extraction.name for extraction in turbine.extractions)
            raise values.error(
                "extraction", f"{values.text('extraction')!r} is no extraction of the turbine; it has: {names}."
            )
        if bled.name in (heater.extraction for heater in heaters):
            raise values.error("extraction", f"{bled.name!r} feeds another heater already.")
        if values.text("name") in (heater.name for heater in heaters):
            raise values.error("name", f"{values.text('name')!r} comes twice.")
        heaters.append(
            Heater(
                name=values.text("name"),
                extraction=bled.name,
                deaerator=values.text("kind") == "deaerator",
                steam_pressure=bled.state.p,
                steam_enthalpy=bled.state.h,
                shell_pressure=bled.state.p * (1 - values.number("steam_pressure_drop_percent", 5) / 100),
                terminal_difference=values.number("terminal_difference_k", 3),
                drain_approach=values.optional_number("drain_approach_k"),
            )
        )
    deaerators = [heater.name for heater in heaters if heater.deaerator]
    if len(deaerators) != 1:
        raise document.error("heaters", f"must hold exactly one deaerator; there are {len(deaerators)}.")
    return heaters


def _pump(document: Reader, heaters: list[Heater]) -> Pump:
    values = document.object("feed_pump")
    pump = Pump(values.number("discharge_pressure_mpa") * MEGA, values.number("isentropic_efficiency"))
    deaerator = next(heater for heater in heaters if heater.deaerator)
    main_steam = document.object("turbine").object("main_steam").number("pressure_mpa") * MEGA
    if pump.discharge <= max(main_steam, deaerator.shell_pressure):
        raise values.error(
            "discharge_pressure_mpa", "must be above the main steam pressure: water flows on to the boiler."
        )
    return pump


def _condensate(document: Reader, heaters: list[Heater]) -> steam.State:
    values = document.object("condensate")
    pressure = values.number("pressure_mpa") * MEGA
    deaerator = next(heater for heater in heaters if heater.deaerator)
    if pressure <= deaerator.shell_pressure:
        raise values.error(
            "pressure_mpa",
            f"must be above the deaerator's {deaerator.shell_pressure / MEGA:.3f} MPa: water flows into it.",
        )
    return steam.at_pt(pressure, values.number("temperature_c") + steam.ZERO_CELSIUS)


def _report(turbine: Turbine, solved: HeaterString, motor_efficiency: float) -> Json:
    flows = {running.design.extraction: running.steam_flow for running in solved.heaters}
    drain_flow, drain_enthalpy = solved.drains_to_condenser
    power = solved.feedwater_flow * (solved.pump_outlet.h - solved.pump_inlet.h)
    return {
        "calculation": "feedwater_heaters",
        "feedwater": _water(solved.feedwater_flow, solved.feedwater),
        "condensate": _water(solved.condensate_flow, solved.condensate),
        "feed_pump": {
            "shaft_power_mw": significant(power / MEGA),
            "motor_power_mw": significant(power / motor_efficiency / MEGA),
            "temperature_rise_k": shown(solved.pump_outlet.t - solved.pump_inlet.t, 3),
        },
        "heaters": [_heater(running) for running in solved.heaters],
        "extractions": [
            {
                "name": extraction.name,
                "pressure_mpa": significant(extraction.state.p / MEGA, 9),
                "enthalpy_kj_per_kg": shown(extraction.state.h / 1e3, 4),
                "flow_kg_s": significant(flows.get(extraction.name, 0.0), 9),
            }
            for extraction in turbine.extractions
        ],
        "drains_to_condenser": {
            "flow_kg_s": significant(drain_flow, 9),
            "enthalpy_kj_per_kg": shown(drain_enthalpy / 1e3, 4),
        },
        "closure": _closure(solved, flows, power),
        "warnings": _warnings(solved),
    }


def _water(flow: float, state: steam.State) -> Json:
    return {
        "flow_kg_s": significant(flow, 9),
        "temperature_c": shown(state.t - steam.ZERO_CELSIUS, 4),
        "pressure_mpa": significant(state.p / MEGA, 9),
        "enthalpy_kj_per_kg": shown(state.h / 1e3, 4),
    }


def _heater(running: Running) -> Json:
    design = running.design
    return {
        "name": design.name,
        "kind": "deaerator" if design.deaerator else "closed",
        "extraction": design.extraction,
        "shell_pressure_mpa": significant(design.shell_pressure / MEGA),
        "saturation_temperature_c": shown(steam.saturation_temperature(design.shell_pressure) - steam.ZERO_CELSIUS, 3),
        "steam_flow_kg_s": significant(running.steam_flow),
        "water_flow_kg_s": significant(running.water_flow),
        "water_inlet_temperature_c": shown(running.water_in.t - steam.ZERO_CELSIUS, 3),
        "water_outlet_temperature_c": shown(running.water_out.t - steam.ZERO_CELSIUS, 3),
        "drain_temperature_c": shown(running.drain.t - steam.ZERO_CELSIUS, 3),
        "drain_flow_kg_s": significant(running.drain_flow),
        "heat_to_water_mw": significant(running.heat / MEGA),
    }


def _closure(solved: HeaterString, flows: Mapping[str, float], pump_power: float) -> Json:
    """What enters the string as a whole less what leaves it, kg/s and kW; nothing but rounding should remain."""
    drain_flow, drain_enthalpy = solved.drains_to_condenser
    mass = solved.condensate_flow + sum(flows.values()) - solved.feedwater_flow - drain_flow
    energy = (
        solved.condensate_flow * solved.condensate.h
        + sum(running.steam_flow * running.design.steam_enthalpy for running in solved.heaters)
        + pump_power
        - solved.feedwater_flow * solved.feedwater.h
        - drain_flow * drain_enthalpy
    )
    return {"mass_residual_kg_s": shown(mass, 6), "energy_residual_kw": shown(energy / 1e3, 3)}


def _warnings(solved: HeaterString) -> Json:
    warnings: list[Json] = []
    for running in solved.heaters:
        approach = running.design.drain_approach
        saturated = steam.saturation_temperature(running.design.shell_pressure)
        if approach is not None and running.water_in.t + approach >= saturated:
            warnings.append(f"{running.design.name}: its drain cooler has no effect, the drain leaves saturated.")
    return warnings

"""A string of feedwater heaters between condenser and boiler, solved by heat balances from the hot end to the cold.

Water flows from the condensate pump through low-pressure heaters into the deaerator, and from the feed pump through
high-pressure heaters to the boiler. Drains cascade to the next lower heater, those of the high-pressure heaters end in
the deaerator, those of the low-pressure heaters in the condenser. Outlet temperatures follow from the terminal
differences, so each balance is linear in its own steam flow. SI throughout.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.demo.engineering import steam
from app.demo.engineering.steam import State


@dataclass(frozen=True, slots=True)
class Heater:
    """A heater's design: bled steam (Pa at the turbine, J/kg), shell pressure Pa, differences in K."""

    name: str
    extraction: str
    deaerator: bool
    steam_pressure: float
    steam_enthalpy: float
    shell_pressure: float
    terminal_difference: float
    drain_approach: float | None
    """None: the drain leaves saturated."""


@dataclass(frozen=True, slots=True)
class Pump:
    """Discharge pressure Pa, isentropic efficiency."""

    discharge: float
    efficiency: float

    def outlet(self, inlet: State) -> State:
        """The water's state after the pump."""
        ideal = steam.at_ps(self.discharge, inlet.s)
        return steam.at_ph(self.discharge, inlet.h + (ideal.h - inlet.h) / self.efficiency)


@dataclass(frozen=True, slots=True)
class Running:
    """A heater in operation: water in and out, steam and drain flows kg/s, drain state."""

    design: Heater
    water_flow: float
    water_in: State
    water_out: State
    steam_flow: float
    drain: State
    drain_flow: float
    """With what cascades through; a deaerator has none."""
    drain_in_flow: float
    drain_in_enthalpy: float

    @property
    def heat(self) -> float:
        """Heat that the water takes up, W; in a deaerator that of the mixed condensate."""
        return self.water_flow * (self.water_out.h - self.water_in.h)


@dataclass(frozen=True, slots=True)
class HeaterString:
    """The solved string, heaters in the water's order."""

    heaters: tuple[Running, ...]
    feedwater_flow: float
    condensate_flow: float
    condensate: State
    pump_inlet: State
    pump_outlet: State

    @property
    def feedwater(self) -> State:
        """What the boiler gets."""
        last = self.heaters[-1]
        return self.pump_outlet if last.design.deaerator else last.water_out

    @property
    def drains_to_condenser(self) -> tuple[float, float]:
        """Flow kg/s and enthalpy J/kg of what the coldest heater drains."""
        first = self.heaters[0]
        return (0.0, 0.0) if first.design.deaerator else (first.drain_flow, first.drain.h)


class StringError(Exception):
    """A heater whose balance has no physical answer; `position` in the water's order, `field` at fault."""

    def __init__(self, position: int, field: str, message: str) -> None:
        self.position, self.field, self.message = position, field, message
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class _Drain:
    flow: float = 0.0
    enthalpy: float = 0.0


def solve_string(heaters: Sequence[Heater], *, feedwater_flow: float, condensate: State, pump: Pump) -> HeaterString:
    """The steam flows that close every heater's mass and energy balance.

    `heaters` in the water's order with exactly one deaerator; `feedwater_flow` kg/s to the boiler; `condensate` after
    its pump. Raises `StringError` naming the heater that cannot work.
    """
    place = next(index for index, heater in enumerate(heaters) if heater.deaerator)
    boiling = steam.saturated_liquid(heaters[place].shell_pressure)
    pumped = pump.outlet(boiling)
    waters = _waters(heaters, place, condensate, boiling, pumped)
    running: list[Running] = []
    drain = _Drain()
    for position in reversed(range(place + 1, len(heaters))):
        one = _closed(heaters[position], position, waters[position], feedwater_flow, drain)
        drain = _Drain(one.drain_flow, one.drain.h)
        running.append(one)
    mixed = _deaerator(heaters[place], place, waters[place], feedwater_flow, drain)
    running.append(mixed)
    drain = _Drain()
    for position in reversed(range(place)):
        one = _closed(heaters[position], position, waters[position], mixed.water_flow, drain)
        drain = _Drain(one.drain_flow, one.drain.h)
        running.append(one)
    return HeaterString(tuple(reversed(running)), feedwater_flow, mixed.water_flow, condensate, boiling, pumped)


def _waters(
    heaters: Sequence[Heater], place: int, condensate: State, boiling: State, pumped: State
) -> list[tuple[State, State]]:
    """Each heater's water, in and out: outlets are set by the terminal differences, inlets by the heater before."""
    waters: list[tuple[State, State]] = []
    state = condensate
    for position, heater in enumerate(heaters):
        if heater.deaerator:
            outlet, following = boiling, pumped
        else:
            hot = steam.saturation_temperature(heater.shell_pressure) - heater.terminal_difference
            outlet = following = steam.at_pt(state.p, hot)
        if outlet.h <= state.h:
            raise StringError(
                position,
                "extraction",
                f"{heater.name} would cool its water: it enters at {state.t - steam.ZERO_CELSIUS:.1f} °C and the steam "
                f"allows {outlet.t - steam.ZERO_CELSIUS:.1f} °C; its extraction pressure is too low for its place.",
            )
        _require_hotter_steam(heater, position, outlet)
        if position == place - 1 and outlet.t >= boiling.t:
            raise StringError(
                position, "extraction", f"{heater.name} would heat the condensate above the deaerator's boiling point."
            )
        waters.append((state, outlet))
        state = following
    return waters


def _require_hotter_steam(heater: Heater, position: int, outlet: State) -> None:
    """A negative terminal difference needs superheat: water never leaves hotter than the steam arrives."""
    hottest = steam.at_ph(heater.shell_pressure, heater.steam_enthalpy).t
    if not heater.deaerator and outlet.t > hottest:
        raise StringError(
            position,
            "terminal_difference_k",
            f"{heater.name} would heat its water to {outlet.t - steam.ZERO_CELSIUS:.1f} °C, "
            f"above its steam's {hottest - steam.ZERO_CELSIUS:.1f} °C.",
        )


def _closed(heater: Heater, position: int, water: tuple[State, State], flow: float, drain_in: _Drain) -> Running:
    entering, leaving = water
    drain = _drain_state(heater, entering)
    heat = flow * (leaving.h - entering.h) - drain_in.flow * (drain_in.enthalpy - drain.h)
    released = heater.steam_enthalpy - drain.h
    if released <= 0:
        raise StringError(position, "extraction", f"{heater.name} gets steam that is colder than its drain.")
    steam_flow = heat / released
    if steam_flow <= 0:
        raise StringError(
            position,
            "terminal_difference_k",
            f"{heater.name} needs no steam: the drains from above heat its water enough.",
        )
    return Running(
        design=heater,
        water_flow=flow,
        water_in=entering,
        water_out=leaving,
        steam_flow=steam_flow,
        drain=drain,
        drain_flow=steam_flow + drain_in.flow,
        drain_in_flow=drain_in.flow,
        drain_in_enthalpy=drain_in.enthalpy,
    )


def _drain_state(heater: Heater, entering: State) -> State:
    saturated = steam.saturated_liquid(heater.shell_pressure)
    if heater.drain_approach is None or entering.t + heater.drain_approach >= saturated.t:
        return saturated
    return steam.at_pt(heater.shell_pressure, entering.t + heater.drain_approach)


def _deaerator(heater: Heater, position: int, water: tuple[State, State], flow: float, drain_in: _Drain) -> Running:
    """Mixing: condensate, steam and drains leave together as boiling water, `flow` kg/s."""
    entering, leaving = water
    surplus = flow * leaving.h - drain_in.flow * drain_in.enthalpy - (flow - drain_in.flow) * entering.h
    steam_flow = surplus / (heater.steam_enthalpy - entering.h)
    condensate = flow - drain_in.flow - steam_flow
    if steam_flow <= 0 or condensate <= 0:
        raise StringError(
            position,
            "steam_pressure_drop_percent",
            f"{heater.name} would need {steam_flow:.2f} kg/s of steam and {condensate:.2f} kg/s of condensate: "
            "the drains of the high-pressure heaters alone keep it boiling; raise its pressure.",
        )
    return Running(
        design=heater,
        water_flow=condensate,
        water_in=entering,
        water_out=leaving,
        steam_flow=steam_flow,
        drain=leaving,
        drain_flow=0.0,
        drain_in_flow=drain_in.flow,
        drain_in_enthalpy=drain_in.enthalpy,
    )

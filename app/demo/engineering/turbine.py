"""The steam's way through the turbine: its state at the inlets, at each extraction and at the exhausts.

The isentropic efficiency of a section holds for each of its stage groups, from one extraction to the next; so an
extraction's state depends on the sections and pressures before it only, and never on the condenser.
"""

from dataclasses import dataclass

from app.demo.engineering import steam
from app.demo.engineering.documents import Reader
from app.demo.engineering.errors import CalculationError
from app.demo.engineering.steam import State

MEGA = 1e6


@dataclass(frozen=True, slots=True)
class Extraction:
    """A bleed: its name, the section it leaves (`hp`, `ip`, `lp`) and the steam's state there."""

    name: str
    section: str
    state: State


@dataclass(frozen=True, slots=True)
class Turbine:
    """Expansion from main steam to the last extraction; SI."""

    flow: float
    main: State
    cold_reheat: State
    hot_reheat: State
    crossover: State
    """At the end of the intermediate-pressure section."""
    extractions: tuple[Extraction, ...]
    """From the highest pressure to the lowest."""
    lp_efficiency: float
    exhaust_loss: float

    def of(self, section: str) -> tuple[Extraction, ...]:
        """The extractions of one section, in the steam's order."""
        return tuple(extraction for extraction in self.extractions if extraction.section == section)

    def exhaust(self, pressure: float) -> State:
        """The steam that leaves the last stage at the condenser's pressure, Pa, its exhaust loss included."""
        inlet = self.of("lp")[-1].state if self.of("lp") else self.crossover
        return steam.at_ph(pressure, expand(inlet, pressure, self.lp_efficiency).h + self.exhaust_loss)


def expand(inlet: State, pressure: float, efficiency: float) -> State:
    """The state at `pressure` Pa after an expansion of this isentropic efficiency; `inlet` itself at its own pressure."""
    if pressure >= inlet.p:
        return inlet
    ideal = steam.at_ps(pressure, inlet.s)
    return steam.at_ph(pressure, inlet.h - efficiency * (inlet.h - ideal.h))


def read_turbine(values: Reader) -> Turbine:
    """The turbine that a `turbine` object describes.

    Raises `CalculationError` where pressures do not fall along the steam's way or an extraction's name comes twice.
    """
    sections = values.object("sections")
    hp, ip, lp = (sections.object(name) for name in ("hp", "ip", "lp"))
    main = _inlet(values.object("main_steam"))
    hot_reheat = _inlet(values.object("reheat"))
    cold = hp.number("exhaust_pressure_mpa") * MEGA
    crossover = ip.number("exhaust_pressure_mpa") * MEGA
    _require_falling(values, main.p, cold, hot_reheat.p, crossover)
    hp_line, cold_reheat = _section("hp", main, cold, hp, values, above=main.p, down_to=cold)
    ip_line, crossover_state = _section("ip", hot_reheat, crossover, ip, values, above=hot_reheat.p, down_to=crossover)
    lp_line, _ = _section("lp", crossover_state, None, lp, values, above=crossover, down_to=0)
    return Turbine(
        flow=values.object("main_steam").number("flow_kg_s"),
        main=main,
        cold_reheat=cold_reheat,
        hot_reheat=hot_reheat,
        crossover=crossover_state,
        extractions=_complete(values, (*hp_line, *ip_line, *lp_line)),
        lp_efficiency=lp.number("isentropic_efficiency"),
        exhaust_loss=lp.number("exhaust_loss_kj_per_kg") * 1e3,
    )


def _inlet(values: Reader) -> State:
    return steam.at_pt(values.number("pressure_mpa") * MEGA, values.number("temperature_c") + steam.ZERO_CELSIUS)


def _require_falling(values: Reader, main: float, cold: float, hot: float, crossover: float) -> None:
    sections = values.object("sections")
    if cold >= main:
        raise sections.object("hp").error("exhaust_pressure_mpa", "must be below the main steam pressure.")
    if hot >= cold:
        raise values.object("reheat").error(
            "pressure_mpa",
            f"must be below the high-pressure exhaust, {cold / MEGA:g} MPa: the reheater costs pressure.",
        )
    if crossover >= hot:
        raise sections.object("ip").error("exhaust_pressure_mpa", "must be below the reheat pressure.")


def _section(
    name: str, inlet: State, outlet: float | None, section: Reader, values: Reader, *, above: float, down_to: float
) -> tuple[tuple[Extraction, ...], State]:
    """The extractions between two pressures, and the state at the section's outlet (the last extraction's without one)."""
    efficiency = section.number("isentropic_efficiency")
    state, line = inlet, []
    for extraction in values.objects("extractions"):
        pressure = extraction.number("pressure_mpa") * MEGA
        if down_to <= pressure < above:
            if pressure > state.p:
                raise extraction.error(
                    "pressure_mpa", "is above the extraction before it; list them by falling pressure."
                )
            state = expand(state, pressure, efficiency)
            line.append(Extraction(extraction.text("name"), name, state))
    return tuple(line), state if outlet is None else expand(state, outlet, efficiency)


def _complete(values: Reader, found: tuple[Extraction, ...]) -> tuple[Extraction, ...]:
    """All the extractions, each once; one that no section took lies where there is no turbine."""
    listed = values.objects("extractions")
    taken = [extraction.name for extraction in found]
    for index, extraction in enumerate(listed):
        name = extraction.text("name")
        if name not in taken:
            raise extraction.error("pressure_mpa", "lies in no section: above the main steam or inside the reheater.")
        if name in (other.text("name") for other in listed[:index]):
            raise extraction.error("name", f"{name!r} comes twice.")
    return found


def extraction_named(turbine: Turbine, name: str) -> Extraction | None:
    """The extraction of that name."""
    return next((extraction for extraction in turbine.extractions if extraction.name == name), None)


def require_pressure_below(turbine: Turbine, pressure: float, values: Reader) -> None:
    """The condenser must lie below the last stage's inlet; otherwise the last stages would have to compress."""
    last = turbine.extractions[-1].state.p if turbine.of("lp") else turbine.crossover.p
    if pressure >= last:
        raise CalculationError(
            f"the condenser's pressure, {pressure / 1e3:.2f} kPa, is not below the last stages' inlet, {last / 1e3:.2f} kPa.",
            (*values.path, "extractions"),
            file=values.file,
        )

"""The sample plant as documents, and the shortest way through all three calculations."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from hypothesis import assume

from app.demo.engineering import CALCULATIONS, CalculationError
from app.demo.sample import sample_files

Document = dict[str, Any]


def sample(name: str) -> Document:
    document: Document = json.loads(sample_files()[name])
    return document


def manifest() -> Document:
    return sample("geometries_manifest.json")


def balance_input() -> Document:
    return sample("balance_input.json")


def condenser_input(**changed: object) -> Document:
    """The design condenser; `inlet_temperature_c` and `flow_kg_s` go to the cooling water, the rest to the top."""
    document: Document = {
        "geometry": "brass-28x1",
        "heat_duty_mw": 334.0,
        "cooling_water": {"inlet_temperature_c": 12.0, "flow_kg_s": 9500.0},
    }
    for key, value in changed.items():
        (document["cooling_water"] if key in document["cooling_water"] else document)[key] = value
    return document


def heaters_input() -> Document:
    plant = balance_input()
    return {
        "turbine": plant["turbine"],
        "condensate": {"temperature_c": 25.0, "pressure_mpa": 1.6},
        "feed_pump": plant["feedwater"]["feed_pump"],
        "heaters": plant["feedwater"]["heaters"],
    }


def run_condenser(document: Document, geometries: Document | None = None) -> Document:
    return _run("condenser", {"condenser_input.json": document, "geometries_manifest.json": geometries or manifest()})


def run_heaters(document: Document) -> Document:
    return _run("feedwater_heaters", {"feedwater_heaters_input.json": document})


def run_balance(document: Document, condenser: Document, heaters: Document) -> Document:
    return _run(
        "balance",
        {
            "balance_input.json": document,
            "condenser_output.json": condenser,
            "feedwater_heaters_output.json": heaters,
        },
    )


def run_plant(water_c: float = 12.0, *, plant: Document | None = None, **condenser: object) -> Document:
    """The whole plant, the heaters' condensate as warm as the condenser makes it; the balance's output."""
    document = plant or balance_input()
    cold_end = run_condenser(condenser_input(inlet_temperature_c=water_c, **condenser))
    heaters = heaters_input() | {"turbine": document["turbine"]}
    heaters["condensate"] = {"temperature_c": cold_end["saturation_temperature_c"], "pressure_mpa": 1.6}
    return run_balance(document, cold_end, run_heaters(heaters))


def _run(name: str, files: dict[str, Any]) -> Document:
    before = deepcopy(files)
    output = CALCULATIONS[name](files)
    assert files == before, "a calculation must leave its documents alone"
    assert isinstance(output, dict)
    return output


@contextmanager
def feasible() -> Iterator[None]:
    """Pass over generated plants that the engineering rightly refuses; any other refusal fails the test."""
    try:
        yield
    except CalculationError as refused:
        assume(not any(reason in refused.message for reason in _IMPOSSIBLE))
        raise


_IMPOSSIBLE = ("would not condense", "needs no steam", "would cool its water")

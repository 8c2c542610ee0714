"""The sample plant project: its files, its issues, and what an engineer would enter in the forms."""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from types import MappingProxyType

from sagas.ports import Json

FILE_NAMES = ("README.md", "balance_input.json", "geometries_manifest.json")
SUMMER_WATER_C = 18.0
SUMMER_CONDENSATE_C = 31.0


@dataclass(frozen=True, slots=True)
class SampleIssue:
    """An issue to be made in the demo project, assigned to its user."""

    title: str
    description: str
    labels: tuple[str, ...]
    due_date: date | None


def sample_files() -> dict[str, str]:
    """The repository's files at its first commit: path to content."""
    return {name: _read(name) for name in FILE_NAMES}


def sample_issues() -> tuple[SampleIssue, ...]:
    """The issues, in the order in which they are to be made."""
    return tuple(
        SampleIssue(
            title=issue["title"],
            description=issue["description"],
            labels=tuple(issue["labels"]),
            due_date=date.fromisoformat(issue["due_date"]) if issue["due_date"] else None,
        )
        for issue in json.loads(_read("issues.json"))
    )


def user_inputs(calculation: str, draft: Json) -> Json:
    """The document that an engineer would hand in for `calculation`, made from the form's draft.

    The first issue's story: summer, the cooling water at 18 °C. Other calculations keep their draft.
    """
    change = _CHANGES.get(calculation)
    if change is None:
        return deepcopy(draft)
    if not isinstance(draft, dict):
        raise TypeError(f"the draft of {calculation} must be a JSON object, not {type(draft).__name__}.")
    return change(deepcopy(draft))


def _condenser(draft: dict[str, Json]) -> Json:
    water = draft.get("cooling_water")
    return draft | {
        "geometry": "brass-28x1",
        "cooling_water": (water if isinstance(water, dict) else {}) | {"inlet_temperature_c": SUMMER_WATER_C},
    }


def _feedwater_heaters(draft: dict[str, Json]) -> Json:
    condensate = draft.get("condensate")
    return draft | {
        "condensate": (condensate if isinstance(condensate, dict) else {}) | {"temperature_c": SUMMER_CONDENSATE_C}
    }


_CHANGES: Mapping[str, Callable[[dict[str, Json]], Json]] = MappingProxyType(
    {"condenser": _condenser, "feedwater_heaters": _feedwater_heaters}
)


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")

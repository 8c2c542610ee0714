"""A condenser's tube bundle, as `geometries_manifest.json` describes it."""

import math
from dataclasses import dataclass

from app.demo.engineering.documents import Json, Reader
from app.demo.engineering.errors import CalculationError

MANIFEST = "geometries_manifest.json"


@dataclass(frozen=True, slots=True)
class TubeBundle:
    """Horizontal tubes with cooling water inside and condensing steam outside; metres, W/(m K)."""

    key: str
    tubes: int
    outer_diameter: float
    wall: float
    length: float
    passes: int
    tier_rows: float
    """How many tubes drain onto one another before the condensate leaves the bundle."""
    conductivity: float

    @property
    def inner_diameter(self) -> float:
        """Metres."""
        return self.outer_diameter - 2 * self.wall

    def open_tubes(self, plugged_fraction: float) -> float:
        """Tubes that carry water."""
        return self.tubes * (1 - plugged_fraction)

    def outer_area(self, plugged_fraction: float = 0.0) -> float:
        """Heat transfer surface outside the open tubes, m²."""
        return math.pi * self.outer_diameter * self.length * self.open_tubes(plugged_fraction)

    def flow_area(self, plugged_fraction: float = 0.0) -> float:
        """Cross-section of the water's way through one pass, m²."""
        return math.pi / 4 * self.inner_diameter**2 * self.open_tubes(plugged_fraction) / self.passes


def tube_bundle(manifest: Json, key: str, *, asked_by: Reader) -> TubeBundle:
    """The condenser with this key.

    Raises `CalculationError`: at the asking field where the manifest has no such condenser, in the manifest where its
    numbers make no bundle.
    """
    entries = Reader(manifest, file=MANIFEST).objects("geometries")
    condensers = {entry.text("key"): entry for entry in entries if entry.text("kind") == "condenser"}
    if key not in condensers:
        known = ", ".join(sorted(condensers)) or "none"
        raise asked_by.error("geometry", f"{key!r} is no condenser of {MANIFEST}; it lists: {known}.")
    values = condensers[key].object("attributes")
    bundle = TubeBundle(
        key=key,
        tubes=round(_within(values, "tube_count", 10, 200_000)),
        outer_diameter=_within(values, "outer_diameter_mm", 10, 60) / 1000,
        wall=_within(values, "wall_thickness_mm", 0.3, 5) / 1000,
        length=_within(values, "effective_length_m", 1, 30),
        passes=round(_within(values, "passes", 1, 4)),
        tier_rows=_within(values, "tier_rows", 1, 200),
        conductivity=_within(values, "wall_conductivity_w_per_m_k", 5, 450),
    )
    if bundle.inner_diameter < bundle.outer_diameter / 2:
        raise values.error("wall_thickness_mm", "is more than a quarter of the outer diameter.")
    return bundle


def _within(values: Reader, key: str, low: float, high: float) -> float:
    value = values.number(key)
    if not low <= value <= high:
        raise CalculationError(
            f"is {value:g}; it must lie between {low} and {high}.", (*values.path, key), file=MANIFEST
        )
    return value

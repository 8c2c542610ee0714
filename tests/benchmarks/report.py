"""What a benchmark found: a table for people, or one JSON object per line for programs."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure beside its floor from the same run."""

    benchmark: str
    metric: str
    value: float
    unit: str
    floor: float | None = None
    """In the same unit; None where nothing stands to compare with."""
    ratio: float | None = None
    """1 is the floor, more is better; None without a floor."""


@dataclass(frozen=True, slots=True)
class Options:
    """How much to measure; what a benchmark does not know it passes over."""

    sagas: int
    in_flight: int
    rounds: int
    scale: int = 0
    """How many finished sagas lie in the tables."""


def more_is_better(benchmark: str, metric: str, values: Sequence[float], unit: str, floors: Sequence[float]) -> Measure:
    """The median of the rounds; the ratio is the median of each round's own ratio, so that a slow minute slows both."""
    ratio = median(value / floor for value, floor in zip(values, floors, strict=True))
    return Measure(benchmark, metric, round(median(values), 3), unit, round(median(floors), 3), round(ratio, 3))


def less_is_better(benchmark: str, metric: str, values: Sequence[float], unit: str, floors: Sequence[float]) -> Measure:
    """Like `more_is_better`, for a cost or a time."""
    ratio = median(floor / value for value, floor in zip(values, floors, strict=True))
    return Measure(benchmark, metric, round(median(values), 3), unit, round(median(floors), 3), round(ratio, 3))


def spread(benchmark: str, metric: str, values: Sequence[float]) -> Measure:
    """How far the rounds lie apart: (largest - smallest) / median, in per cent."""
    return Measure(
        benchmark, f"{metric}_spread", round(100 * (max(values) - min(values)) / median(values), 1), "percent"
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share (0 to 1) of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def options(
    description: str, *, sagas: int, in_flight: int = 64, rounds: int = 3, scale: int | None = None
) -> tuple[Options, bool]:
    """The command line's options, and whether JSON is wanted; a number below 1 is refused."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--sagas", type=_positive, default=sagas, help="per round (default: %(default)s)")
    parser.add_argument("--in-flight", type=_positive, default=in_flight, help="at once (default: %(default)s)")
    parser.add_argument("--rounds", type=_positive, default=rounds, help="interleaved with the floors' own")
    if scale is not None:
        parser.add_argument("--scale", type=_positive, default=scale, help="finished sagas (default: %(default)s)")
    given = parser.parse_args()
    return Options(given.sagas, given.in_flight, given.rounds, getattr(given, "scale", 0)), given.json


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def show(measures: Sequence[Measure], *, as_json: bool) -> None:
    """Print them."""
    if as_json:
        for measure in measures:
            print(json.dumps(asdict(measure)))
        return
    table = Table("benchmark", "metric", "value", "unit", "floor", "ratio")
    for measure in measures:
        table.add_row(
            measure.benchmark,
            measure.metric,
            f"{measure.value:g}",
            measure.unit,
            "" if measure.floor is None else f"{measure.floor:g}",
            "" if measure.ratio is None else f"{measure.ratio:.2f}",
        )
    Console().print(table)

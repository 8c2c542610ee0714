"""Catalogues for tests: keyword factories, and hypothesis strategies over every shape of dependencies."""

from typing import Any

from hypothesis import strategies as st

from sagas.catalogue import Catalogue


def entry(name: str, *depends_on: str, **changes: Any) -> dict[str, Any]:
    """A valid catalogue entry."""
    return {
        "name": name,
        "title": {"en": name.capitalize(), "ru": f"Расчёт {name}"},
        "input_file": f"{name}_input.json",
        "output_file": f"{name}_output.json",
        "task": f"balance.calculate_{name}",
        "queue": "balance.calculations",
        "depends_on": list(depends_on),
        "uses_files": [],
        "hydration": [],
        "deadline_s": 900,
        "input_schema": {"type": "object"},
        **changes,
    }


def catalogue(*entries: dict[str, Any]) -> Catalogue:
    """A checked catalogue of these entries."""
    return Catalogue.from_json({"calculations": list(entries)})


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}(_[a-z0-9]{1,5}){0,2}", fullmatch=True).filter(lambda name: name != "balance")


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    """Catalogues whose calculations depend on each other in any acyclic way, in any order of the file."""
    names = [*draw(st.lists(NAMES, max_size=6, unique=True)), "balance"]
    entries = [
        entry(name, *draw(st.lists(st.sampled_from(names[:place]), unique=True) if place else st.just([])))
        for place, name in enumerate(names)
    ]
    return catalogue(*draw(st.permutations(entries)))

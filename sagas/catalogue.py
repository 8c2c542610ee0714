"""The catalogue: which calculations there are, as data. A new dependency is an entry in a file, not code.

The file is `{"calculations": [...]}`; the shipped one stands beside this module, a setting may name another. Whatever is
wrong in it is refused at start-up with the entry and the field, before a saga can meet it.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from importlib import resources
from pathlib import Path
from typing import Any, Self

from jsonpointer import JsonPointer, JsonPointerException
from jsonschema import Draft202012Validator, SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from sagas.definition import DefinitionError, SagaDefinition
from sagas.errors import Problem
from sagas.ports import Json
from sagas.values import check_document, validator_of, violations

__all__ = ["Calculation", "Catalogue", "HydrationRule", "calculation_of", "check_document"]

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_MISSING = object()
_FIELDS = frozenset(
    {"name", "title", "input_file", "output_file", "task", "queue", "depends_on", "uses_files", "hydration"}
    | {"deadline_s", "input_schema"}
)


@dataclass(frozen=True, slots=True)
class HydrationRule:
    """Copy what stands at `pointer` in the file `source` to the place `to` of a missing input file (RFC 6901 pointers).

    `to` names members of objects, which are made as needed. Without a `default`, what is not there is left out, for the
    user to give.
    """

    source: str
    pointer: str
    to: str
    default: Json = None
    has_default: bool = False

    def to_json(self) -> dict[str, Any]:
        """The rule as the catalogue's file has it."""
        stored: dict[str, Any] = {"from": self.source, "pointer": self.pointer, "to": self.to}
        return {**stored, "default": self.default} if self.has_default else stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read a rule of the catalogue's file."""
        return cls(stored["from"], stored["pointer"], stored["to"], stored.get("default"), "default" in stored)

    def apply(self, sources: Mapping[str, Json], document: dict[str, Json]) -> None:
        """Add what the rule finds to the document."""
        found = _find(sources.get(self.source), self.pointer)
        if found is _MISSING:
            if not self.has_default:
                return
            found = self.default
        *parents, last = JsonPointer(self.to).parts
        place = document
        for parent in parents:
            member = place.setdefault(parent, {})
            assert isinstance(member, dict), "the catalogue refuses rules whose targets overlap"
            place = member
        place[last] = copy.deepcopy(found)


def _find(document: Json, pointer: str) -> Any:
    # The library parses, but its lookup would take a text for a list of characters, and "-" for a place in a list.
    place = document
    for part in JsonPointer(pointer).parts:
        if isinstance(place, dict) and part in place:
            place = place[part]
        elif isinstance(place, list) and _INDEX.fullmatch(part) and int(part) < len(place):
            place = place[int(part)]
        else:
            return _MISSING
    return place


@dataclass(frozen=True)
class Calculation:
    """One calculation: its files on the branch, its worker's task, what it depends on, and what its input must be."""

    name: str
    title: Mapping[str, str]
    """By language: `en`, `ru`."""
    input_file: str
    output_file: str
    task: str
    """The Celery task's name."""
    queue: str
    depends_on: tuple[str, ...]
    uses_files: tuple[str, ...]
    """Further files that its worker reads, such as the geometry manifest."""
    hydration: tuple[HydrationRule, ...]
    deadline_s: float
    """How long, in seconds, a result may take before the saga fails."""
    input_schema: Mapping[str, Any]
    """JSON Schema (2020-12) of the input document."""

    def to_json(self) -> dict[str, Any]:
        """The entry as the catalogue's file has it."""
        return {
            "name": self.name,
            "title": dict(self.title),
            "input_file": self.input_file,
            "output_file": self.output_file,
            "task": self.task,
            "queue": self.queue,
            "depends_on": list(self.depends_on),
            "uses_files": list(self.uses_files),
            "hydration": [rule.to_json() for rule in self.hydration],
            "deadline_s": self.deadline_s,
            "input_schema": dict(self.input_schema),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read an entry that was checked when its catalogue was loaded."""
        return cls(
            name=stored["name"],
            title=stored["title"],
            input_file=stored["input_file"],
            output_file=stored["output_file"],
            task=stored["task"],
            queue=stored["queue"],
            depends_on=tuple(stored["depends_on"]),
            uses_files=tuple(stored["uses_files"]),
            hydration=tuple(HydrationRule.from_json(rule) for rule in stored["hydration"]),
            deadline_s=stored["deadline_s"],
            input_schema=stored["input_schema"],
        )

    def validate(self, values: Json) -> list[Problem]:
        """Everything that is wrong with an input document, each with the path of its field; none: it can be committed."""
        return check_document(values) or violations(self._validator, values)

    @cached_property
    def _validator(self) -> Draft202012Validator:
        return validator_of(self.input_schema)

    def hydrate(self, sources: Mapping[str, Json]) -> Json:
        """The input document made from other files of the branch, given parsed and by path."""
        document: dict[str, Json] = {}
        for rule in self.hydration:
            rule.apply(sources, document)
        return document


def calculation_of(definition: SagaDefinition, name: str) -> Calculation:
    """A calculation as the definition has it, read once; raises KeyError for one that is not in it."""
    known = definition.read.get(name)
    if not isinstance(known, Calculation):
        known = definition.read[name] = Calculation.from_json(definition.calculations[name])
    return known


@dataclass(frozen=True)
class Catalogue:
    """The calculations in the order of the file."""

    calculations: tuple[Calculation, ...]

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read and check a catalogue's file; None: the shipped one.

        Raises DefinitionError, which names the file, the entry and the field.
        """
        source = path or resources.files("sagas") / "catalogue.json"
        try:
            return cls.from_json(json.loads(source.read_text(encoding="utf-8")))
        except OSError as unreadable:
            raise DefinitionError(f"catalogue {source}: it cannot be read: {unreadable.strerror}") from unreadable
        except ValueError as broken:
            raise DefinitionError(f"catalogue {source}: it is not JSON in UTF-8: {broken}") from broken
        except DefinitionError as wrong:
            raise DefinitionError(f"catalogue {source}: {wrong}") from wrong

    @classmethod
    def from_json(cls, document: object) -> Self:
        """Check a catalogue and read it.

        Raises DefinitionError, which names the entry and the field.
        """
        entries = document.get("calculations") if isinstance(document, Mapping) else None
        if not isinstance(entries, list) or not entries:
            raise DefinitionError('calculations: must be a list with at least one entry, as {"calculations": [...]}')
        for place, entry in enumerate(entries):
            _EntryCheck(place, entry).run()
        catalogue = cls(tuple(Calculation.from_json(entry) for entry in entries))
        _check_together(catalogue)
        return catalogue

    @cached_property
    def by_name(self) -> Mapping[str, Calculation]:
        """The calculations by name."""
        return {calculation.name: calculation for calculation in self.calculations}

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the order of the file."""
        return tuple(self.by_name)

    def calculation(self, name: str) -> Calculation:
        """The calculation of that name; raises KeyError for one that is not there."""
        return self.by_name[name]

    def in_dependency_order(self, target: str) -> tuple[Calculation, ...]:
        """All that `target` needs, each after what it depends on itself, and `target` last."""
        sorter: TopologicalSorter[str] = TopologicalSorter()
        waiting, seen = [target], {target}
        while waiting:
            name = waiting.pop(0)
            needs = self.calculation(name).depends_on
            sorter.add(name, *needs)
            waiting.extend(need for need in needs if need not in seen)
            seen.update(needs)
        return tuple(self.calculation(name) for name in sorter.static_order())

    def input_files(self, calculation: Calculation) -> tuple[str, ...]:
        """The files that its worker reads: its own input, its dependencies' outputs, and what else it uses."""
        outputs = [self.calculation(name).output_file for name in calculation.depends_on]
        return (calculation.input_file, *outputs, *calculation.uses_files)


@dataclass(frozen=True, slots=True)
class _EntryCheck:
    """The checks of one entry by itself."""

    place: int
    entry: Any

    def run(self) -> None:
        if not isinstance(self.entry, Mapping):
            raise DefinitionError(f"calculations[{self.place}]: must be an object")
        self._check_fields()
        if not _NAME.fullmatch(self._text("name")):
            self._wrong("name", "must be lower-case words joined by underscores, such as feedwater_heaters")
        self._check_title()
        for field in ("input_file", "output_file"):
            self._check_path(field, self._text(field))
        for field in ("task", "queue"):
            self._text(field)
        for field in ("depends_on", "uses_files"):
            self._texts(field)
        for path in self.entry["uses_files"]:
            self._check_path("uses_files", path)
        deadline = self.entry["deadline_s"]
        if isinstance(deadline, bool) or not isinstance(deadline, int | float) or not 0 < deadline < float("inf"):
            self._wrong("deadline_s", "must be a number of seconds above 0")
        self._check_hydration()
        self._check_schema()

    def _check_fields(self) -> None:
        for field in sorted(_FIELDS - set(self.entry)):
            self._wrong(field, "is missing")
        for field in sorted(set(self.entry) - _FIELDS):
            self._wrong(field, f"is not a known field; known are {', '.join(sorted(_FIELDS))}")

    def _check_title(self) -> None:
        title = self.entry["title"]
        texts = title if isinstance(title, Mapping) else {}
        for language in ("en", "ru"):
            if not isinstance(texts.get(language), str) or not texts[language].strip():
                self._wrong(f"title.{language}", "must be a text")

    def _check_path(self, field: str, path: str) -> None:
        parts = path.split("/")
        if "\0" in path or "\\" in path or any(part in {"", ".", ".."} for part in parts):
            self._wrong(field, f"must be a plain path inside the repository, not {path!r}")

    def _check_hydration(self) -> None:
        rules = self.entry["hydration"]
        if not isinstance(rules, list):
            self._wrong("hydration", "must be a list")
        for place, rule in enumerate(rules):
            self._check_rule(f"hydration[{place}]", rule)
        targets = [tuple(JsonPointer(rule["to"]).parts) for rule in rules]
        for place, target in enumerate(targets):
            for other in targets[:place]:
                if target[: len(other)] == other or other[: len(target)] == target:
                    self._wrong(f"hydration[{place}].to", "overlaps with an earlier rule's `to`")

    def _check_rule(self, field: str, rule: Any) -> None:
        if not isinstance(rule, Mapping):
            self._wrong(field, "must be an object {from, pointer, to, default?}")
        for key in ("from", "pointer", "to"):
            if not isinstance(rule.get(key), str):
                self._wrong(f"{field}.{key}", "must be a text")
        for key in sorted(set(rule) - {"from", "pointer", "to", "default"}):
            self._wrong(f"{field}.{key}", "is not a known field; known are from, pointer, to, default")
        self._check_path(f"{field}.from", rule["from"])
        if rule["from"] == self.entry["input_file"]:
            self._wrong(f"{field}.from", "is the very file that is to be made")
        for key in ("pointer", "to"):
            try:
                JsonPointer(rule[key])
            except JsonPointerException as bad:
                self._wrong(f"{field}.{key}", f"is not a JSON Pointer: {bad}")
        if not rule["to"]:
            self._wrong(f"{field}.to", "must name a member, such as /heat_duty_mw")

    def _check_schema(self) -> None:
        schema = self.entry["input_schema"]
        if not isinstance(schema, Mapping) or schema.get("type") != "object":
            self._wrong("input_schema", 'must be a JSON Schema with "type": "object"')
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as bad:
            where = "/".join(str(part) for part in bad.absolute_path)
            self._wrong("input_schema", f"is not a JSON Schema (2020-12): at /{where}: {bad.message[:300]}")
        resource = DRAFT202012.create_resource(schema)
        resolver = Registry().with_resource("", resource).resolver()
        for reference in _references(schema):
            try:
                resolver.lookup(reference)
            except Unresolvable:
                self._wrong("input_schema", f"refers to {reference}, which is not in it; nothing is fetched")

    def _text(self, field: str) -> str:
        text = self.entry[field]
        if not isinstance(text, str) or not text.strip():
            self._wrong(field, "must be a text")
        return str(text)

    def _texts(self, field: str) -> None:
        texts = self.entry[field]
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            self._wrong(field, "must be a list of texts")
        if len(set(texts)) != len(texts):
            self._wrong(field, "names something twice")

    def _wrong(self, field: str, complaint: str) -> None:
        name = self.entry.get("name")
        entry = name if isinstance(name, str) and name else f"calculations[{self.place}]"
        raise DefinitionError(f"{entry}.{field}: {complaint}")


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, Mapping):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield reference
        for member in schema.values():
            yield from _references(member)
    elif isinstance(schema, list):
        for member in schema:
            yield from _references(member)


def _check_together(catalogue: Catalogue) -> None:
    _check_unique([calculation.name for calculation in catalogue.calculations])
    written: dict[str, str] = {}
    for calculation in catalogue.calculations:
        for field in ("input_file", "output_file"):
            path = getattr(calculation, field)
            if path in written:
                raise DefinitionError(f"{calculation.name}.{field}: {path} is written by {written[path]} already")
            written[path] = f"{calculation.name}.{field}"
        for name in calculation.depends_on:
            if name not in catalogue.by_name:
                known = ", ".join(catalogue.names)
                raise DefinitionError(f"{calculation.name}.depends_on: there is no {name!r}; there are {known}")
    try:
        TopologicalSorter({each.name: each.depends_on for each in catalogue.calculations}).prepare()
    except CycleError as cycle:
        path = " → ".join(cycle.args[1])
        raise DefinitionError(
            f"{cycle.args[1][0]}.depends_on: the calculations depend on each other: {path}"
        ) from cycle


def _check_unique(names: Sequence[str]) -> None:
    for place, name in enumerate(names):
        if name in names[:place]:
            raise DefinitionError(f"{name}.name: another entry has the same name")

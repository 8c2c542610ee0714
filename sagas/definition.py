"""A saga's definition: a pure state chart, and for each of its states the kind of step and what it does.

A definition is data (`document`), stored with a hash and a version when a saga first begins under it; a live saga runs
from its own stored document, whatever a later release ships. The chart that python-statemachine builds from it is the
only source of transitions. The chart has no callbacks, so the same state and trigger always lead to the same target,
and each answer of the machine is kept.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

from statemachine import StateChart
from statemachine.exceptions import TransitionNotAllowed
from statemachine.io import create_machine_class_from_definition


class StepKind(StrEnum):
    """What a state waits for: `ACTION` calls outside, the others wait, `FINAL` ends the saga."""

    ACTION = "ACTION"
    INPUT = "INPUT"
    RESULT = "RESULT"
    TIMER = "TIMER"
    FINAL = "FINAL"


class Action(StrEnum):
    """What the action step of a state does; the code for each stands in `sagas/steps/`."""

    PREPARE_BRANCH = "PREPARE_BRANCH"
    CHECK = "CHECK"
    HYDRATE = "HYDRATE"
    COMMIT_INPUT = "COMMIT_INPUT"
    DISPATCH = "DISPATCH"
    SYNC_RESULT = "SYNC_RESULT"
    OPEN_MERGE_REQUEST = "OPEN_MERGE_REQUEST"


class Trigger(StrEnum):
    """The triggers that steps send to the machine; a retry that goes back sends `back_to_<STATE>`."""

    DONE = "done"
    OUTPUT_CURRENT = "output_current"
    INPUT_FOUND = "input_found"
    INPUT_MISSING = "input_missing"
    INPUT_RECEIVED = "input_received"
    RESULT_FOUND = "result_found"
    REDISPATCH = "redispatch"


COMPLETED = "COMPLETED"


def back_to(state: str) -> str:
    """The trigger of a retry that goes back to an earlier state."""
    return f"back_to_{state}"


class DefinitionError(Exception):
    """A definition or catalogue that cannot be run; the message names the entry."""


class TriggerRefusedError(Exception):
    """The chart has no transition for this trigger in this state."""


@dataclass(frozen=True, slots=True)
class Step:
    """One state of the chart and what happens in it."""

    name: str
    kind: StepKind
    action: Action | None = None
    calculation: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The stored form."""
        stored = {"name": self.name, "kind": self.kind.value, "action": self.action, "calculation": self.calculation}
        return {key: str(value) for key, value in stored.items() if value is not None}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read the stored form.

        Raises DefinitionError where this release does not know the kind of step.
        """
        try:
            action = Action(stored["action"]) if "action" in stored else None
            return cls(stored["name"], StepKind(stored["kind"]), action, stored.get("calculation"))
        except ValueError as unknown:
            raise DefinitionError(f"state {stored['name']}: this release cannot run it: {unknown}") from unknown


@dataclass(frozen=True, slots=True)
class Transition:
    """An edge of the chart."""

    source: str
    trigger: str
    target: str


@dataclass(frozen=True)
class SagaDefinition:
    """A chart with its steps in the order of the happy path, and the catalogue slice that it runs with."""

    name: str
    title: Mapping[str, str]
    steps: tuple[Step, ...]
    transitions: tuple[Transition, ...]
    calculations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The catalogue entries (as JSON) of the calculations in it, by name."""
    version: int = 0
    """The stored version; 0: not stored yet."""

    @cached_property
    def document(self) -> dict[str, Any]:
        """The definition as JSON: what is stored and hashed."""
        return {
            "name": self.name,
            "title": dict(self.title),
            "steps": [step.to_json() for step in self.steps],
            "transitions": [[edge.source, edge.trigger, edge.target] for edge in self.transitions],
            "calculations": {name: dict(entry) for name, entry in self.calculations.items()},
        }

    @cached_property
    def read(self) -> dict[str, object]:
        """What was read from the entries of `calculations` already, by name: each is read once, not at every step."""
        return {}

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the canonical JSON of the document."""
        canonical = json.dumps(self.document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, version: int) -> Self:
        """The definition of a stored document.

        Raises DefinitionError where a step's kind is unknown to this release.
        """
        return cls(
            name=document["name"],
            title=document["title"],
            steps=tuple(Step.from_json(step) for step in document["steps"]),
            transitions=tuple(Transition(*edge) for edge in document["transitions"]),
            calculations=document["calculations"],
            version=version,
        )

    @property
    def initial(self) -> str:
        """The first state of the happy path; a start may enter the chart later (no branch to prepare)."""
        return self.steps[0].name

    @cached_property
    def by_name(self) -> Mapping[str, Step]:
        """The steps by state."""
        return {step.name: step for step in self.steps}

    def step(self, state: str) -> Step:
        """The step of a state; raises KeyError for one that is not in the chart."""
        return self.by_name[state]

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {step.name: place for place, step in enumerate(self.steps)}

    @cached_property
    def working_steps(self) -> Mapping[str, int]:
        """The place of each step but those that only end the saga."""
        return {step.name: self.order(step.name) for step in self.steps if step.kind is not StepKind.FINAL}

    def order(self, state: str) -> int:
        """The state's place on the happy path."""
        return self._places[state]

    @cached_property
    def last_places(self) -> Mapping[str, int]:
        """The place of each calculation's last state; what stands beyond it builds upon its result."""
        return {step.calculation: place for place, step in enumerate(self.steps) if step.calculation is not None}

    @cached_property
    def chart(self) -> type[StateChart[Any]]:
        """The python-statemachine class built from the data."""
        return self._chart(self.transitions)

    def _chart(self, transitions: Sequence[Transition]) -> type[StateChart[Any]]:
        states: dict[str, Any] = {}
        for step in self.steps:
            on: dict[str, list[dict[str, str]]] = {}
            for edge in transitions:
                if edge.source == step.name:
                    on.setdefault(edge.trigger, []).append({"target": edge.target})
            states[step.name] = {
                "name": step.name,
                "initial": step.name == self.initial,
                "final": step.kind is StepKind.FINAL,
                **({"on": on} if on else {}),
            }
        # Faults must be loud: by default a StateChart ignores unknown triggers and turns errors into events.
        return create_machine_class_from_definition(
            self.name, states=states, allow_event_without_transition=False, catch_errors_as_events=False
        )

    @cached_property
    def _targets(self) -> dict[tuple[str, str], str]:
        return {}

    def target(self, state: str, trigger: str) -> str:
        """Where the chart goes from `state` on `trigger`.

        Raises TriggerRefusedError where the chart has no such transition.
        """
        known = self._targets.get((state, trigger))
        if known is None:
            known = self._targets[state, trigger] = self._ask_machine(state, trigger)
        return known

    def _ask_machine(self, state: str, trigger: str) -> str:
        machine = self.chart(start_value=state)
        try:
            machine.send(trigger)
        except TransitionNotAllowed as refused:
            raise TriggerRefusedError(f"{self.name}: {state} has no transition for {trigger}") from refused
        return str(next(iter(machine.configuration)).id)

    def accepts(self, state: str, trigger: str) -> bool:
        """Whether the chart has a transition for the trigger in this state."""
        return any(edge.source == state and edge.trigger == trigger for edge in self.transitions)

    def retry_targets(self, state: str) -> tuple[str, ...]:
        """The earlier states to which a retry may go back from here."""
        return tuple(e.target for e in self.transitions if e.source == state and e.trigger == back_to(e.target))

    def mermaid(self, active: str | None = None) -> str:
        """The chart as a Mermaid state diagram, by the library; retries over several calculations are left out.

        With `active`, that state is drawn as the present one.
        """
        return format(self._drawn if active is None else self._drawn(start_value=active), "mermaid")

    @cached_property
    def _drawn(self) -> type[StateChart[Any]]:
        return self._chart([edge for edge in self.transitions if not self._leaps_back(edge)])

    def _leaps_back(self, edge: Transition) -> bool:
        if edge.trigger != back_to(edge.target):
            return False
        source, target = self.step(edge.source), self.step(edge.target)
        return source.calculation != target.calculation or target.kind is not StepKind.INPUT

"""The seeded plan of a run: pure data, so that the same seed means the same kills, the same faults and the same stories.

When something is done twice depends on the machine's speed, and so a run cannot be repeated to the instruction; what was
done to the service, in which order and after how many seconds, can.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What is killed; a kind may have several processes."""

    API = "api"
    ENGINE = "engine"
    WORKER = "worker"
    GITLAB = "gitlab"
    BROKER = "broker"
    POSTGRES = "postgres"


class Foreign(StrEnum):
    """What a colleague commits to a saga's branch while it is under way."""

    NOTE = "note"
    """A file that no saga knows."""
    DRAFT = "draft"
    """The input file whose form is open: normal use, the form shows it."""
    INPUT = "input"
    """The input file after its commit, while a worker calculates: the saga has to stop, and its user goes back."""


class Cancel(StrEnum):
    """When the user gives a saga up."""

    FORM = "form"
    RESULT = "result"


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for; the plan follows from it."""

    seed: int
    sagas: int = 500
    """Engine-only ones."""
    balance: int = 50
    seconds: float = 120
    """How long there are kills and faults; afterwards the run drains."""
    pause: tuple[float, float] = (5, 40)
    """Between two kills, at least and at most; seconds."""
    apis: int = 2
    engines: int = 3
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Kill:
    """`kill -9` after so many seconds; `which` in [0, 1) chooses among the processes of the kind."""

    at: float
    kind: Kind
    which: float


@dataclass(frozen=True, slots=True)
class Fault:
    """What the emulator is told after so many seconds, as `POST /emulator/faults` takes it."""

    at: float
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Story:
    """What the user of one Balance saga does beside filling in its forms."""

    number: int
    foreign: Foreign | None = None
    cancel: Cancel | None = None
    twice: bool = False
    """Starts with two requests at the same moment, under one key."""
    followers: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that chance decides before the run begins."""

    options: Options
    kills: tuple[Kill, ...] = ()
    faults: tuple[Fault, ...] = ()
    stories: tuple[Story, ...] = ()
    cancelled: frozenset[int] = field(default_factory=frozenset)
    """The engine-only sagas, by number, that are cancelled instead of advanced."""
    twice: frozenset[int] = field(default_factory=frozenset)
    """The engine-only sagas that are started by two requests at once."""
    followed: frozenset[int] = field(default_factory=frozenset)
    """The engine-only sagas that have a subscriber."""

    def lines(self) -> Iterator[str]:
        """The plan for people; two runs with the same lines were asked the same."""
        asked = self.options
        yield (
            f"seed {asked.seed}: {asked.sagas} engine-only and {asked.balance} Balance sagas, "
            f"{len(self.kills)} kills and {len(self.faults)} faults in {asked.seconds:g} s"
        )
        acts = [(kill.at, f"kill -9 {kill.kind}") for kill in self.kills]
        acts += [(fault.at, f"fault {dict(fault.body)}") for fault in self.faults]
        for at, act in sorted(acts):
            yield f"{at:7.1f} s  {act}"


FOLLOWED = 200
"""At most so many engine-only sagas have a subscriber, or the subscribers would be all that is measured."""


def make_plan(options: Options) -> Plan:
    """The plan of these options; equal options, equal plan."""
    return Plan(
        options,
        tuple(_kills(options, _chance(options, "kills"))),
        tuple(_faults(options, _chance(options, "faults"))),
        tuple(_stories(options, _chance(options, "stories"))),
        cancelled=_some(options.sagas, options.sagas // 50, _chance(options, "cancelled")),
        twice=_some(options.sagas, options.sagas // 25, _chance(options, "twice")),
        followed=_some(options.sagas, min(options.sagas, FOLLOWED), _chance(options, "followed")),
    )


def _chance(options: Options, name: str) -> random.Random:
    return random.Random(f"{options.seed} {name}")


def _some(of: int, wanted: int, chance: random.Random) -> frozenset[int]:
    return frozenset(chance.sample(range(of), wanted))


def _kills(options: Options, chance: random.Random) -> Iterator[Kill]:
    """Every kind once in random order, then again: no kind is spared by bad luck."""
    at, bag = chance.uniform(*options.pause) / 2, list[Kind]()
    while at < options.seconds:
        if not bag:
            bag = list(Kind)
            chance.shuffle(bag)
        yield Kill(round(at, 1), bag.pop(), chance.randrange(1000) / 1000)
        at += chance.uniform(*options.pause)


_API, _WRITES, _GIT = "^/api/v4/", "/repository/(commits|branches)|/merge_requests", r"\.git/"


def _faults(options: Options, chance: random.Random) -> Iterator[Fault]:
    """One every few seconds; each meets a bounded number of requests, so that faults overlap but never last for ever."""
    at = chance.uniform(0.5, 2)
    while at < options.seconds:
        yield Fault(round(at, 1), chance.choice(_FAULTS)(chance))
        at += chance.uniform(1.5, 6)


_FAULTS = (
    lambda chance: {"path": _API, "status": 429, "retry_after": chance.randint(1, 3), "times": chance.randint(2, 20)},
    lambda chance: {"path": _API, "status": chance.choice([500, 502, 503]), "times": chance.randint(2, 20)},
    lambda chance: {"path": _API, "delay_s": 4.5, "times": chance.randint(1, 3)},
    lambda chance: {"path": _API, "delay_s": round(chance.uniform(0.1, 0.6), 2), "times": chance.randint(10, 40)},
    lambda chance: {"path": _API, "drop": "before", "times": chance.randint(1, 5)},
    lambda chance: {"method": "POST", "path": _WRITES, "drop": "after", "times": chance.randint(1, 4)},
    lambda chance: {"method": "POST", "path": _WRITES, "drop": "after", "status": 502, "times": chance.randint(1, 4)},
    lambda chance: {"method": "POST", "path": _WRITES, "drop": "after", "delay_s": 4.5, "times": 1},
    lambda chance: {"path": _GIT, "status": chance.choice([500, 503]), "times": chance.randint(1, 4)},
    lambda chance: {"method": "POST", "path": "/git-receive-pack", "drop": "after", "times": chance.randint(1, 2)},
)
"""429, 5xx, time-outs (above the service's patience of 3 s), slow answers, cut connections, and work whose answer is lost."""


def _stories(options: Options, chance: random.Random) -> Iterator[Story]:
    for number in range(options.balance):
        foreign = chance.choice(list(Foreign)) if chance.random() < 0.2 else None
        cancel = chance.choice(list(Cancel)) if foreign is None and chance.random() < 0.1 else None
        yield Story(number, foreign, cancel, twice=chance.random() < 0.2, followers=chance.choice([1, 1, 1, 2]))

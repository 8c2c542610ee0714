"""What a run records while it lasts: one JSON line for each thing that a client asked, was told, or that was done to it.

The records are all that the checker knows of the clients. They are written as they happen and never changed.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Asked:
    """A request was sent; `input` is a hash of what was asked under the key."""

    at: float
    request: int
    mutation: str
    key: str
    input: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A request succeeded: with the saga as it was then, or with a merge request's number."""

    at: float
    request: int
    created: bool
    saga: str = ""
    version: int = 0
    state: str = ""
    status: str = ""
    project: str = ""
    branch: str = ""
    merge_request: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """A request was refused with this code."""

    at: float
    request: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Nobody knows what became of a request: no answer, or one that says that something is away."""

    at: float
    request: int
    why: str


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscriber connected, for the first time or again, with the version that it saw last."""

    at: float
    subscriber: int
    field: str
    saga: str
    after: int


@dataclass(frozen=True, slots=True)
class Told:
    """A subscriber got an event (`sagaEvents`), or a state (`sagaUpdated`, without a type)."""

    at: float
    subscriber: int
    saga: str
    version: int
    state: str
    status: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A subscription is over: `completed` by the server, `broken`, `left` by the subscriber, or an error's code."""

    at: float
    subscriber: int
    how: str


@dataclass(frozen=True, slots=True)
class ForeignCommit:
    """A colleague committed a file, and GitLab said so."""

    at: float
    project: int
    branch: str
    path: str
    sha: str
    blob: str


@dataclass(frozen=True, slots=True)
class Killed:
    """A process was ended by `kill -9`."""

    at: float
    kind: str
    process: str


@dataclass(frozen=True, slots=True)
class Back:
    """A process does its work again."""

    at: float
    kind: str
    process: str


@dataclass(frozen=True, slots=True)
class Leased:
    """What became of a lease that stood right after the kill of an engine.

    `renewed`: when its owner was last seen renewing it, which a dead one does not. `moved`: when the saga had another
    lease, none, or a new version; None: not while it was watched.
    """

    at: float
    killed_at: float
    saga: str
    renewed: float | None
    moved: float | None


@dataclass(frozen=True, slots=True)
class FaultSet:
    """The emulator took a fault."""

    at: float
    fault: str


@dataclass(frozen=True, slots=True)
class FaultsMet:
    """So many requests met faults in one life of the emulator."""

    at: float
    requests: int


Record = (
    Asked
    | Answered
    | Refused
    | Unanswered
    | Subscribed
    | Told
    | Ended
    | ForeignCommit
    | Killed
    | Back
    | Leased
    | FaultSet
    | FaultsMet
)
_KINDS: dict[str, type[Record]] = {
    kind.__name__: kind
    for kind in (
        Asked,
        Answered,
        Refused,
        Unanswered,
        Subscribed,
        Told,
        Ended,
        ForeignCommit,
        Killed,
        Back,
        Leased,
        FaultSet,
        FaultsMet,
    )
}


class Tape:
    """The file that a run is recorded in."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, record: Record) -> None:
        """One line, in the file before this returns."""
        self._file.write(to_line(record))


def now() -> float:
    """The time that records carry: seconds since the epoch, by one clock for the whole run."""
    return time.time()


def to_line(record: Record) -> str:
    return json.dumps({"what": type(record).__name__, **asdict(record)}, ensure_ascii=False) + "\n"


def read(path: Path) -> Iterator[Record]:
    """The records of a file, in the order in which they were written; raises ValueError for a line that is none."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            stored = json.loads(line)
            kind = _KINDS.get(stored.pop("what", ""))
            if kind is None:
                raise ValueError(f"{path}: no record: {line[:100]}")
            yield kind(**stored)


def hash_of(given: object) -> str:
    """What tells two inputs apart."""
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:16]

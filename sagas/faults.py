"""Named crash points: places in the product where a process can be made to die as from kill -9, or to fall asleep.

No-ops unless armed by `ORCHESTRATOR_CRASH_AT=<point>[:<n-th pass>]`, which ends the process there, or by
`ORCHESTRATOR_STOP_AT=<point>[:<n-th pass>]`, which stops it as from kill -STOP until somebody sends it SIGCONT. A point
stands before and after every commit, every GitLab write, every publish and every announcement; after one of them died,
the next owner must look before it acts, and one that slept past its lease must change nothing.
`POINTS` lists them all, so that a test can arm each once; a name that is not listed is refused where it is passed.
"""

import os
import signal
from collections import Counter
from collections.abc import Mapping
from functools import cache

ENVIRONMENT_VARIABLE = "ORCHESTRATOR_CRASH_AT"
STOP_VARIABLE = "ORCHESTRATOR_STOP_AT"
_SIGNALS = {ENVIRONMENT_VARIABLE: signal.SIGKILL, STOP_VARIABLE: signal.SIGSTOP}

COMMITS = (
    "database.archive",
    "database.claim",
    "database.command",
    "database.definitions",
    "database.draft",
    "database.look",
    "database.record",
    "database.release",
    "database.remember",
    "database.renew",
    "database.signal",
    "database.start",
    "database.stop",
    "database.tidy",
    "database.unarchive",
    "database.webhook",
)
"""Transactions of a running service: `before` stands right before their COMMIT, `after` right after it."""

EFFECTS = (
    "broker.publish",
    "broker.revoke",
    "gitlab.create_branch",
    "gitlab.create_commit",
    "gitlab.create_merge_request",
    "gitlab.delete_branch",
    "gitlab.undo_commit",
)
"""Changes outside the database."""

POINTS = tuple(f"{place}.{side}" for place in (*COMMITS, *EFFECTS, "announce") for side in ("before", "after"))
"""Every point there is."""

_KNOWN = frozenset(POINTS)
_passes: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Die or stop here if this point is armed and this is its n-th pass (the first unless the setting says otherwise).

    Raises ValueError for a name that is not in POINTS, here or in a setting.
    """
    if name not in _KNOWN:
        raise ValueError(f"{name!r} is no crash point; list it in sagas.faults")
    for variable, (point, nth, number) in armed().items():
        if point == name:
            _passes[variable] += 1
            if _passes[variable] == nth:
                os.kill(os.getpid(), number)


@cache
def armed() -> Mapping[str, tuple[str, int, int]]:
    """What the environment has armed when the first point is passed, by variable: point, pass and signal.

    Read once, because points stand on every hot path. Raises ValueError for a name that is not in POINTS.
    """
    found = {}
    for variable, number in _SIGNALS.items():
        point, _, nth = os.environ.get(variable, "").partition(":")
        if point and point not in _KNOWN:
            raise ValueError(f"{variable} names {point!r}; there are: {', '.join(POINTS)}")
        if point:
            found[variable] = (point, int(nth or 1), int(number))
    return found

"""Named crash points: places in the product where a process can be made to die as from kill -9.

No-ops unless armed by `ORCHESTRATOR_CRASH_AT=<point>[:<n-th pass>]`. A point stands before and after every commit, every
GitLab write, every publish and every announcement; after one of them died, the next owner must look before it acts.
`POINTS` lists them all, so that a test can arm each once; a name that is not listed is refused where it is passed.
"""

import os
import signal
from collections import Counter

ENVIRONMENT_VARIABLE = "ORCHESTRATOR_CRASH_AT"

COMMITS = (
    "database.claim",
    "database.command",
    "database.definitions",
    "database.draft",
    "database.look",
    "database.record",
    "database.release",
    "database.renew",
    "database.signal",
    "database.start",
    "database.tidy",
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
    """Die here if this point is armed and this is its n-th pass (the first unless the setting says otherwise).

    Raises ValueError for a name that is not in POINTS, here or in the setting.
    """
    if name not in _KNOWN:
        raise ValueError(f"{name!r} is no crash point; list it in sagas.faults")
    armed = os.environ.get(ENVIRONMENT_VARIABLE)
    if not armed:
        return
    point, _, nth = armed.partition(":")
    if point not in _KNOWN:
        raise ValueError(f"{ENVIRONMENT_VARIABLE} names {point!r}; there are: {', '.join(POINTS)}")
    if point != name:
        return
    _passes[name] += 1
    if _passes[name] == int(nth or 1):
        os.kill(os.getpid(), signal.SIGKILL)

"""Operation names as a label: clients choose them freely, so only a bounded number of them is ever told apart."""

import re

from app.telemetry.metrics import OTHER

UNNAMED = "unnamed"
MOST_NAMES = 100
_SHAPE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")


class OperationNames:
    """The names that are shown; all others are `other`.

    The first hundred are shown that known users sent and that ran, where only trusted documents may run those of the
    manifest alone. Nobody without a token fills the list; a user who does takes names from the figures, nothing more.
    """

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def shown(self, name: str | None, *, trusted: bool) -> str:
        """The label for an operation; `trusted`: it ran, for a known user."""
        if not name:
            return UNNAMED
        if name in self._shown:
            return name
        if trusted and len(self._shown) < MOST_NAMES and _SHAPE.fullmatch(name):
            self._shown.add(name)
            return name
        return OTHER

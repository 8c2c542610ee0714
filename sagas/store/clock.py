"""The database's clock, as far as a process can tell without asking."""

import time
from datetime import datetime, timedelta

_TRUSTED_S = 10.0
"""Until two clocks that drift apart differ by more than an answer takes on its way."""


class DatabaseClock:
    """What the database's clock showed in its last answer, and the time since then.

    Never ahead of the database's own but by what two clocks drift apart in seconds; behind it by as long as an answer is
    on its way. A process that was stopped together with its monotonic clock tells an old time until the next answer, but
    its leases have run out by then, and the fence refuses what it writes under one that was taken over.
    """

    def __init__(self) -> None:
        self._showed: datetime | None = None
        self._at = 0.0

    def heard(self, showed: datetime) -> None:
        """The database has just answered, and its clock showed this."""
        self._showed, self._at = showed, time.monotonic()

    def now(self) -> datetime | None:
        """The time; None where the last answer is too long ago to tell."""
        age = time.monotonic() - self._at
        return None if self._showed is None or age > _TRUSTED_S else self._showed + timedelta(seconds=age)

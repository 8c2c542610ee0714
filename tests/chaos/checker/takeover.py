"""How long a saga stays with an engine that was killed.

Take-over time: from the `kill -9` of an engine until a saga that it leased has another lease, none any more, or a new
version; only the time counts in which PostgreSQL and at least one engine are up. An engine's leases do not name it, so
all leases that stand right after the kill are watched; one that is renewed afterwards has a living owner.
"""

from collections.abc import Iterator

from tests.chaos.evidence import Evidence
from tests.chaos.history import Back, Killed, Leased

LIMIT_S = 10.0
_RENEWED_LATE_S = 0.5
"""A renewal that was under way at the moment of the kill may still be committed."""


def in_time(evidence: Evidence) -> Iterator[str]:
    """No take-over lasts longer than the limit; a lease that nobody ever took over does."""
    for lease, seconds in take_overs(evidence):
        if seconds > LIMIT_S:
            how = "moved" if lease.moved is not None else "still held, when the watch ended,"
            yield f"saga {lease.saga} {how} {seconds:.1f} s after its engine was killed"


def take_overs(evidence: Evidence) -> Iterator[tuple[Leased, float]]:
    """The leases of killed engines, with the seconds that they lasted."""
    up = _Uptime(evidence)
    for record in evidence.history:
        if not isinstance(record, Leased):
            continue
        if record.renewed is not None and record.renewed > record.killed_at + _RENEWED_LATE_S:
            continue
        yield record, up.seconds(record.killed_at, record.at if record.moved is None else record.moved)


class _Uptime:
    """When PostgreSQL and an engine were up, from kills and returns; a process's first return is its start."""

    def __init__(self, evidence: Evidence) -> None:
        changes = [record for record in evidence.history if isinstance(record, Killed | Back)]
        self._changes = sorted(
            (change.at, change.kind, change.process, isinstance(change, Back))
            for change in changes
            if change.kind in {"postgres", "engine"}
        )

    def seconds(self, begin: float, end: float) -> float:
        """How much of this time all was there that a take-over needs."""
        up: dict[tuple[str, str], bool] = {}
        total, at = 0.0, begin
        for moment, kind, process, back in [*self._changes, (end, "", "", True)]:
            until = min(max(moment, at), end)
            total += until - at if _able(up) else 0.0
            at = until
            up[kind, process] = back
        return total


def _able(up: dict[tuple[str, str], bool]) -> bool:
    postgres = [is_up for (kind, _), is_up in up.items() if kind == "postgres"]
    engines = [is_up for (kind, _), is_up in up.items() if kind == "engine"]
    return all(postgres) and any(engines)

"""What subscribers were told over all their reconnects, held against the journal."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from tests.chaos.evidence import Evidence
from tests.chaos.history import Ended, Record, Subscribed, Told

EVENTS, UPDATES = "sagaEvents", "sagaUpdated"
_OVER = frozenset({"COMPLETED", "CANCELLED"})


def _streams(evidence: Evidence, field: str) -> Mapping[int, list[Record]]:
    """The records of each subscriber of the field, in order."""
    mine = {r.subscriber for r in evidence.history if isinstance(r, Subscribed) and r.field == field}
    streams: dict[int, list[Record]] = defaultdict(list)
    for record in evidence.history:
        if isinstance(record, Subscribed | Told | Ended) and record.subscriber in mine:
            streams[record.subscriber].append(record)
    return streams


def events_in_order(evidence: Evidence) -> Iterator[str]:
    """After `afterVersion: n` come n+1, n+2, …; `sagaUpdated` may skip, and never goes back."""
    for subscriber, records in _streams(evidence, EVENTS).items():
        last = 0
        for record in records:
            if isinstance(record, Subscribed):
                last = record.after
            elif isinstance(record, Told):
                if record.version != last + 1:
                    what = "again" if record.version <= last else "too early"
                    yield f"subscriber {subscriber} of saga {record.saga} was told {record.version} {what}, after {last}"
                last = record.version
    for subscriber, records in _streams(evidence, UPDATES).items():
        last = 0
        for record in records:
            if isinstance(record, Told):
                if record.version < last:
                    yield f"subscriber {subscriber} of saga {record.saga} was told {record.version} after {last}"
                last = record.version


def told_as_journaled(evidence: Evidence) -> Iterator[str]:
    """Type, state and status are those of the journal's event with this version."""
    journal = {(event.saga, event.version): event for event in evidence.events}
    for record in evidence.history:
        if not isinstance(record, Told):
            continue
        event = journal.get((record.saga, record.version))
        told = (record.type or None, record.state, record.status)
        if event is None or told != ((record.type and event.type) or None, event.to_state, event.status):
            yield f"subscriber {record.subscriber} of saga {record.saga} was told {record}; the journal has {event}"


def told_the_end(evidence: Evidence) -> Iterator[str]:
    """Each subscriber stays until the server completes the subscription, which it does after the last event only."""
    rows = {row.id: row for row in evidence.sagas}
    for field in (EVENTS, UPDATES):
        for subscriber, records in _streams(evidence, field).items():
            saga = next((record.saga for record in records if isinstance(record, Subscribed)), "")
            row = rows.get(saga)
            if row is None or row.status not in _OVER:
                continue
            last = max((record.version for record in records if isinstance(record, Told)), default=0)
            ended = next((record.how for record in reversed(records) if isinstance(record, Ended)), "not at all")
            if last != row.version:
                yield f"subscriber {subscriber} of {field} of saga {saga} was told {last} last, it has {row.version}"
            if ended != "completed":
                yield f"subscriber {subscriber} of {field} of saga {saga}: the subscription ended {ended}"
    known = {"completed", "broken", "left"}
    for record in evidence.history:
        if isinstance(record, Ended) and record.how not in known:
            yield f"subscriber {record.subscriber} was refused: {record.how}"

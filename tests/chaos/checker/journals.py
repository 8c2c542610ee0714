"""The journal by itself: gap-free, along the chart, and in agreement with the sagas' rows."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.evidence import EventRow, Evidence


@dataclass(frozen=True, slots=True)
class Entry:
    """An event, and the visit of the state that it was in before."""

    event: EventRow
    visit: int


def by_saga(evidence: Evidence) -> Mapping[str, list[EventRow]]:
    """Each saga's events by version."""
    journals: dict[str, list[EventRow]] = defaultdict(list)
    for event in evidence.events:
        journals[event.saga].append(event)
    for events in journals.values():
        events.sort(key=lambda event: event.version)
    return journals


def replay(events: list[EventRow]) -> Iterator[Entry]:
    """The events with the visits, counted from the journal alone: an entry into another state begins a visit of it."""
    visits: Counter[str] = Counter()
    for event in events:
        yield Entry(event, visits[event.from_state or ""])
        if event.from_state != event.to_state:
            visits[event.to_state] += 1


def no_gaps(evidence: Evidence) -> Iterator[str]:
    """Versions run from 1, each once; each event begins where the one before it ended."""
    for saga, events in by_saga(evidence).items():
        versions = [event.version for event in events]
        if versions != list(range(1, len(versions) + 1)):
            yield f"saga {saga} has the versions {versions}"
        for before, after in pairwise(events):
            if after.from_state != before.to_state:
                yield f"saga {saga}: {after.version} begins in {after.from_state}, {before.version} ended in {before.to_state}"


def follow_charts(evidence: Evidence) -> Iterator[str]:
    """Every move is one of the definition that the saga began under."""
    for saga in evidence.sagas:
        chart = evidence.charts.get((saga.definition, saga.definition_version))
        if chart is None:
            yield f"saga {saga.id} has no stored definition {saga.definition} {saga.definition_version}"
    charts = {saga.id: evidence.charts.get((saga.definition, saga.definition_version)) for saga in evidence.sagas}
    for event in evidence.events:
        chart = charts.get(event.saga)
        if event.from_state is None or chart is None or event.from_state == event.to_state:
            continue
        if (event.from_state, event.to_state) not in chart:
            yield f"saga {event.saga}: {event.version} leads from {event.from_state} to {event.to_state}, the chart does not"


def agree_with_rows(evidence: Evidence) -> Iterator[str]:
    """A saga's row is what its newest event says; there is no event of a saga that is not there."""
    journals = by_saga(evidence)
    for saga in evidence.sagas:
        events = journals.get(saga.id)
        if not events:
            yield f"saga {saga.id} has no journal"
            continue
        last = events[-1]
        if (last.version, last.to_state, last.status) != (saga.version, saga.state, saga.status):
            yield f"saga {saga.id} is {saga.status} in {saga.state} at {saga.version}, its journal ends otherwise: {last}"
    known = {saga.id for saga in evidence.sagas}
    yield from (f"saga {saga} has a journal and no row" for saga in journals if saga not in known)

"""Lies about what subscribers were told."""

from dataclasses import replace

from tests.chaos.evidence import Evidence
from tests.chaos.history import Ended, Subscribed, Told
from tests.chaos.plants.choosing import as_a, events_told, first


def lost_event(evidence: Evidence) -> None:
    del evidence.history[events_told(evidence)[1]]


def doubled_event(evidence: Evidence) -> None:
    place = events_told(evidence)[1]
    evidence.history.insert(place, evidence.history[place])


def events_out_of_order(evidence: Evidence) -> None:
    _, one, other = events_told(evidence)
    history = evidence.history
    history[one], history[other] = history[other], history[one]


def state_goes_back(evidence: Evidence) -> None:
    watching = {r.subscriber for r in evidence.history if isinstance(r, Subscribed) and r.field == "sagaUpdated"}
    begun: dict[int, Told] = {}
    for place, record in enumerate(evidence.history):
        if not isinstance(record, Told) or record.subscriber not in watching:
            continue
        earlier = begun.setdefault(record.subscriber, record)
        if earlier.version < record.version:
            evidence.history.insert(place + 1, earlier)
            return
    raise LookupError("no subscriber was told two states")


def event_nobody_journaled(evidence: Evidence) -> None:
    place = events_told(evidence)[1]
    evidence.history[place] = replace(as_a(Told, evidence.history[place]), state="NOWHERE")


def subscriber_without_the_end(evidence: Evidence) -> None:
    over = {row.id for row in evidence.sagas if row.status == "COMPLETED"}
    del evidence.history[
        first(evidence.history, lambda r: isinstance(r, Told) and r.type == "COMPLETED" and r.saga in over)
    ]


def subscription_never_completed(evidence: Evidence) -> None:
    last = {record.subscriber: place for place, record in enumerate(evidence.history) if isinstance(record, Ended)}
    ends = sorted(last.values())
    place = ends[first(ends, lambda end: as_a(Ended, evidence.history[end]).how == "completed")]
    evidence.history[place] = replace(as_a(Ended, evidence.history[place]), how="broken")

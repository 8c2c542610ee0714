"""How a lie chooses what it changes: evidence that certainly breaks the promise once it is changed.

What comes first in a run depends on the machine: a saga that was cancelled, an answer that came a second time, a failure.
So a lie says what it needs, and takes the first that has it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from tests.chaos.evidence import EventRow, Evidence, GitCommit, SagaRow
from tests.chaos.history import Answered, Asked, Record, Told, Unanswered

T = TypeVar("T")
Lie = Callable[[Evidence], None]
COLLEAGUES = "what a colleague wrote"
COMMITTING = ("HYDRATE_", "COMMIT_")


def first(things: Iterable[T], wanted: Callable[[T], bool] = lambda thing: True) -> int:
    """The place of the first thing that is wanted; raises LookupError where the evidence has none."""
    for place, thing in enumerate(things):
        if wanted(thing):
            return place
    raise LookupError("this evidence has nothing to lie about")


def as_a(kind: type[T], record: Record) -> T:
    assert isinstance(record, kind)
    return record


# -- sagas and their events


def completed_sagas(evidence: Evidence) -> set[str]:
    return {row.id for row in evidence.sagas if row.status == "COMPLETED"}


def sound_sagas(evidence: Evidence) -> set[str]:
    """Those that are there and never failed: nothing about them is left to a person's decision."""
    return {row.id for row in evidence.sagas} - {event.saga for event in evidence.events if event.type == "FAILED"}


def completed(evidence: Evidence) -> int:
    """The place of a completed saga whose task of a worker's has succeeded, and that nobody asked to cancel."""
    calculated = {task.saga for task in evidence.tasks if task.status == "SUCCEEDED"}
    asked = {record.key.partition("/")[0] for record in asked_for(evidence).values() if record.mutation == "cancelSaga"}
    return first(evidence.sagas, lambda row: row.status == "COMPLETED" and row.id in calculated - asked)


def completed_saga(evidence: Evidence) -> SagaRow:
    return evidence.sagas[completed(evidence)]


def change_saga(evidence: Evidence, **changes: Any) -> None:
    """Of a completed one."""
    place = completed(evidence)
    evidence.sagas[place] = replace(evidence.sagas[place], **changes)


def change_event(evidence: Evidence, wanted: Callable[[EventRow], bool], **changes: Any) -> None:
    place = first(evidence.events, wanted)
    evidence.events[place] = replace(evidence.events[place], **changes)


def third_event(evidence: Evidence) -> int:
    """The place of an event in the middle of a completed saga's journal."""
    saga = completed_saga(evidence).id
    return first(evidence.events, lambda event: event.saga == saga and event.version == 3)


# -- commits


def told_once(evidence: Evidence) -> int:
    """The place of the only event that tells of a commit on its saga's branch."""
    told: Counter[object] = Counter()
    for event in evidence.events:
        told.update({event.data.get("sha"), event.data.get("commit")})
    there = {(commit.saga, commit.sha) for commit in evidence.commits}
    sagas = sound_sagas(evidence)

    def alone(event: EventRow) -> bool:
        sha = str(event.data.get("sha"))
        return event.type == "COMMITTED" and event.saga in sagas and (event.saga, sha) in there and told[sha] == 1

    return first(evidence.events, alone)


def done_effect(evidence: Evidence) -> int:
    """The place of an event by which a committing step of a completed saga was left, and whose commit is on its branch."""
    sagas = completed_sagas(evidence)
    there = {(commit.saga, commit.sha) for commit in evidence.commits}
    return first(
        evidence.events,
        lambda event: (
            event.type == "COMMITTED"
            and event.saga in sagas
            and event.from_state != event.to_state
            and (event.from_state or "").startswith(COMMITTING)
            and (event.saga, event.data.get("sha")) in there
        ),
    )


def done_commit(evidence: Evidence) -> int:
    """The place of the commit that this event tells."""
    event = evidence.events[done_effect(evidence)]
    return first(evidence.commits, lambda commit: (commit.saga, commit.sha) == (event.saga, event.data["sha"]))


def replace_what(evidence: Evidence, before: str, wanted: Callable[[GitCommit], bool]) -> None:
    """A commit of one file has replaced something else."""
    place = first(evidence.commits, lambda commit: len(commit.changes) == 1 and wanted(commit))
    commit = evidence.commits[place]
    evidence.commits[place] = replace(commit, changes=(replace(commit.changes[0], before=before),))


# -- answers


def asked_for(evidence: Evidence) -> Mapping[int, Asked]:
    return {record.request: record for record in evidence.history if isinstance(record, Asked)}


def answered(
    evidence: Evidence, mutation: str, wanted: Callable[[Answered], bool] = lambda answer: True
) -> tuple[Asked, Answered]:
    """A request for the mutation, and its answer."""
    asked = asked_for(evidence)
    answers = [record for record in evidence.history if isinstance(record, Answered)]
    place = first(answers, lambda answer: asked[answer.request].mutation == mutation and wanted(answer))
    return asked[answers[place].request], answers[place]


def answer_again(
    evidence: Evidence, mutation: str, wanted: Callable[[Answered], bool] = lambda answer: True, **changes: Any
) -> None:
    """The same request once more, with an answer that differs."""
    asked, answer = answered(evidence, mutation, wanted)
    evidence.history += [replace(asked, request=-1), replace(answer, request=-1, **changes)]


def certainly_advanced(evidence: Evidence) -> str:
    """A saga of which each input that it took was answered, and each answered one taken: one more or less is wrong."""
    asked = asked_for(evidence)
    keys: dict[str, set[str]] = defaultdict(set)
    doubtful = set[str]()
    for record in evidence.history:
        if isinstance(record, Answered | Unanswered) and asked[record.request].mutation == "advanceSaga":
            key = asked[record.request].key
            if isinstance(record, Answered):
                keys[record.saga].add(key)
            else:
                doubtful.add(key)
    taken = Counter(event.saga for event in evidence.events if event.type == "INPUT_RECEIVED")
    known = {row.id for row in evidence.sagas}
    hanging = {key.partition("/")[0] for key in doubtful - {key for mine in keys.values() for key in mine}}
    sagas = list(keys)
    return sagas[first(sagas, lambda saga: saga in known - hanging and taken[saga] == len(keys[saga]))]


# -- subscribers


def events_told(evidence: Evidence) -> list[int]:
    """The places of three events in a row that one subscriber was told over one connection."""
    mine: dict[int, list[int]] = defaultdict(list)
    for place, record in enumerate(evidence.history):
        subscriber = getattr(record, "subscriber", None)
        if subscriber is None:
            continue
        if not (isinstance(record, Told) and record.type):
            mine[subscriber].clear()
            continue
        mine[subscriber].append(place)
        if len(mine[subscriber]) == 3:
            return mine[subscriber]
    raise LookupError("no subscriber was told three events in a row")

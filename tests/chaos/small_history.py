"""A small run as evidence, put together by hand: one calculation of one Balance saga, with everything a run can hold.

Nobody was told anything wrong in it; `plants` puts single lies into it.
"""

from collections.abc import Iterator

from tests.chaos.evidence import (
    DraftRow,
    EventRow,
    Evidence,
    FileChange,
    GitCommit,
    MergeRequestRow,
    SagaRow,
    TaskRow,
)
from tests.chaos.history import (
    Answered,
    Asked,
    Back,
    Ended,
    ForeignCommit,
    Killed,
    Leased,
    Record,
    Subscribed,
    Told,
    Unanswered,
)

SAGA, TASK, PROJECT, PATH, BRANCH = "saga-1", "task-1", 7, "power/plant", "issue/1-tubes"
_HYDRATED, _GIVEN, _RESULT, _NOTE = "blob-hydrated", "blob-given", "blob-result", "blob-note"
_FILE, _OUTPUT, _FOREIGN_FILE = "condenser_input.json", "condenser_output.json", "notes.md"
_STATES: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("HYDRATE_CONDENSER", "STARTED", {}),
    ("AWAIT_USER_CONDENSER_INPUT", "COMMITTED", {"sha": "c1", "file": _FILE}),
    ("COMMIT_CONDENSER_INPUT", "INPUT_RECEIVED", {}),
    ("DISPATCH_CONDENSER", "COMMITTED", {"sha": "c2", "file": _FILE}),
    ("AWAIT_CONDENSER_RESULT", "TASK_PUBLISHED", {"task": TASK}),
    ("SYNC_CONDENSER_RESULT", "RESULT_ACCEPTED", {"task": TASK, "commit": "c3"}),
    ("COMPLETED", "COMPLETED", {"task": TASK, "commit": "c3"}),
)
_WAITS = {"AWAIT_USER_CONDENSER_INPUT": "AWAITING_INPUT", "AWAIT_CONDENSER_RESULT": "AWAITING_RESULT"}


def small_history() -> Evidence:
    """The run; a new one each time, to be changed at will."""
    events = list(_events())
    last = events[-1]
    chart = frozenset((event.from_state, event.to_state) for event in events if event.from_state is not None)
    return Evidence(
        history=list(_history(events)),
        sagas=[SagaRow(SAGA, "balance", 1, last.to_state, last.status, last.version, PROJECT, BRANCH, leased=False)],
        events=events,
        tasks=[TaskRow(TASK, SAGA, "DISPATCH_CONDENSER", 1, "SUCCEEDED", published=True)],
        drafts=[DraftRow(SAGA, "AWAIT_USER_CONDENSER_INPUT", 1, _HYDRATED)],
        charts={("balance", 1): chart},
        commits=list(_commits()),
        merge_requests=[MergeRequestRow(PROJECT, 1, BRANCH, "main", "opened")],
        reported=[TASK],
        projects={PATH: PROJECT},
    )


def _events() -> Iterator[EventRow]:
    before: str | None = None
    for version, (state, type_, data) in enumerate(_STATES, start=1):
        status = _WAITS.get(state, "COMPLETED" if state == "COMPLETED" else "RUNNING")
        yield EventRow(SAGA, version, type_, before, state, status, data)
        before = state


def _commits() -> Iterator[GitCommit]:
    yield GitCommit(PROJECT, "c1", (FileChange(_FILE, None, _HYDRATED),), SAGA, "HYDRATE_CONDENSER/1")
    yield GitCommit(PROJECT, "note", (FileChange(_FOREIGN_FILE, None, _NOTE),))
    yield GitCommit(PROJECT, "c2", (FileChange(_FILE, _HYDRATED, _GIVEN),), SAGA, "COMMIT_CONDENSER_INPUT/1")
    yield GitCommit(PROJECT, "c3", (FileChange(_OUTPUT, None, _RESULT),), task=TASK)


def _history(events: list[EventRow]) -> Iterator[Record]:
    yield Back(0.0, "postgres", "postgres")
    yield Back(0.0, "engine", "engine-1")
    yield Back(0.0, "engine", "engine-2")
    yield from _start(events[0])
    yield from _subscriber(1, "sagaEvents", events)
    yield from _subscriber(2, "sagaUpdated", events[::2])
    yield Asked(4.0, 3, "advanceSaga", f"{SAGA}/AWAIT_USER_CONDENSER_INPUT/1", "b")
    taken = events[2]
    yield Answered(4.1, 3, True, SAGA, taken.version, taken.to_state, taken.status)
    yield ForeignCommit(4.2, PROJECT, BRANCH, _FOREIGN_FILE, "note", _NOTE)
    yield Killed(5.0, "engine", "engine-1")
    yield Leased(11.5, 5.0, SAGA, None, 11.5)
    yield Back(13.0, "engine", "engine-1")
    yield Asked(20.0, 4, "createMergeRequest", "merge/1", "c")
    yield Answered(20.1, 4, True, project=PATH, branch=BRANCH, merge_request=1)


def _start(born: EventRow) -> Iterator[Record]:
    """The first request's answer is lost, the second one has it."""
    yield Asked(1.0, 1, "startBalanceCalculation", "balance/1", "a")
    yield Unanswered(1.1, 1, "cut")
    yield Asked(1.2, 2, "startBalanceCalculation", "balance/1", "a")
    yield Answered(1.3, 2, False, SAGA, born.version, born.to_state, born.status)


def _subscriber(number: int, field: str, events: list[EventRow]) -> Iterator[Record]:
    """One connection that breaks after the third event, and another."""
    yield Subscribed(1.4, number, field, SAGA, 0)
    yield from _told(number, field, events[:3])
    yield Ended(3.0, number, "broken")
    yield Subscribed(3.1, number, field, SAGA, events[2].version)
    yield from _told(number, field, events[3:])
    yield Ended(19.0, number, "completed")


def _told(number: int, field: str, events: list[EventRow]) -> Iterator[Record]:
    for event in events:
        type_ = event.type if field == "sagaEvents" else ""
        yield Told(2.0, number, SAGA, event.version, event.to_state, event.status, type_)

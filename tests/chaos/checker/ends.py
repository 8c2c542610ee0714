"""How sagas end: all of them do, as their users wished, and none is left behind."""

from collections.abc import Iterator

from tests.chaos.checker.answers import STARTS
from tests.chaos.evidence import Evidence
from tests.chaos.history import Answered, Asked, ForeignCommit, Unanswered

_OVER = frozenset({"COMPLETED", "CANCELLED"})


def all_finished(evidence: Evidence) -> Iterator[str]:
    """Completed, or cancelled where the user was told so; where nobody was told, either."""
    asked = {record.request: record for record in evidence.history if isinstance(record, Asked)}
    cancelled, perhaps = set[str](), set[str]()
    for record in evidence.history:
        if isinstance(record, Answered | Unanswered) and asked[record.request].mutation == "cancelSaga":
            saga = asked[record.request].key.partition("/")[0]
            (cancelled if isinstance(record, Answered) else perhaps).add(saga)
    for row in evidence.sagas:
        if row.status not in _OVER:
            yield f"saga {row.id} ({row.definition}) is {row.status} in {row.state} at version {row.version} {row.error}"
        elif row.status == "COMPLETED" and row.id in cancelled:
            yield f"saga {row.id} was cancelled, as its user was told, and completed all the same"
        elif row.status == "CANCELLED" and row.id not in cancelled | perhaps:
            yield f"saga {row.id} is cancelled, and nobody asked for it"
    yield from _unfinished_starts(evidence, asked)


def _unfinished_starts(evidence: Evidence, asked: dict[int, Asked]) -> Iterator[str]:
    """A client repeats its start until it is answered, so at the end of a run each has its answer."""
    answered = {asked[record.request].key for record in evidence.history if isinstance(record, Answered)}
    starts = dict.fromkeys(request.key for request in asked.values() if request.mutation in STARTS)
    yield from (f"the start with key {key} was never answered" for key in starts if key not in answered)


def failures_have_causes(evidence: Evidence) -> Iterator[str]:
    """Kills and faults never fail a saga: only somebody else's change of its input does."""
    changed = {
        (record.project, record.branch)
        for record in evidence.history
        if isinstance(record, ForeignCommit) and record.path.endswith("_input.json")
    }
    rows = {row.id: row for row in evidence.sagas}
    for event in evidence.events:
        row = rows.get(event.saga)
        if event.type == "FAILED" and row is not None and (row.project, row.branch) not in changed:
            yield f"saga {event.saga} failed at version {event.version}: {dict(event.data)}"


def nothing_stuck(evidence: Evidence) -> Iterator[str]:
    """No finished saga is still leased; `orchestrator sagas stuck` lists none."""
    yield from (f"saga {row.id} is {row.status} and still leased" for row in evidence.sagas if row.leased)
    yield from (f"stuck: {line}" for line in evidence.stuck)

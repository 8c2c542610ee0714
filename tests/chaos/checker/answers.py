"""What clients were answered, held against what the database says: no answer is ever contradicted."""

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.checker.journals import by_saga
from tests.chaos.evidence import Evidence
from tests.chaos.history import Answered, Asked, Refused, Unanswered

STARTS = frozenset({"startBalanceCalculation", "runCalculation"})
_BUG = frozenset({"INTERNAL_SERVER_ERROR", "IDEMPOTENCY_CONFLICT", "UNKNOWN"})


def _asked(evidence: Evidence) -> dict[int, Asked]:
    return {record.request: record for record in evidence.history if isinstance(record, Asked)}


def _answers(evidence: Evidence) -> Iterator[tuple[Asked, Answered]]:
    asked = _asked(evidence)
    for record in evidence.history:
        if isinstance(record, Answered):
            yield asked[record.request], record


def starts_are_there(evidence: Evidence) -> Iterator[str]:
    """A saga that a client was told of is in the database."""
    known = {saga.id for saga in evidence.sagas}
    for asked, answer in _answers(evidence):
        if answer.saga and answer.saga not in known:
            yield f"{asked.mutation} with key {asked.key} was answered with saga {answer.saga}, which is not there"


def one_saga_a_key(evidence: Evidence) -> Iterator[str]:
    """However often a key is used, it names one saga or merge request."""
    named: dict[tuple[str, str], set[tuple[str, int]]] = defaultdict(set)
    inputs: dict[tuple[str, str], set[str]] = defaultdict(set)
    for asked, answer in _answers(evidence):
        named[asked.mutation, asked.key].add((answer.saga, answer.merge_request))
        inputs[asked.mutation, asked.key].add(asked.input)
    for (mutation, key), things in named.items():
        if len(things) > 1:
            yield f"{mutation} with key {key} was answered with {sorted(things)}"
        if len(inputs[mutation, key]) > 1:
            yield f"{mutation} took the key {key} for different input"


def created_once(evidence: Evidence) -> Iterator[str]:
    """Of all requests with one key, and of all starts of one saga, at most one was told `created: true`."""
    keys: dict[tuple[str, str], int] = defaultdict(int)
    sagas: dict[str, int] = defaultdict(int)
    for asked, answer in _answers(evidence):
        if answer.created:
            keys[asked.mutation, asked.key] += 1
            if asked.mutation in STARTS:
                sagas[answer.saga] += 1
    yield from (f"{mutation} {key}: created {times} times" for (mutation, key), times in keys.items() if times > 1)
    yield from (f"saga {saga} was started {times} times" for saga, times in sagas.items() if times > 1)


def answers_stand(evidence: Evidence) -> Iterator[str]:
    """The version, state and status of an answer are those of an event that is still in the journal."""
    journals = {(event.saga, event.version): event for event in evidence.events}
    for asked, answer in _answers(evidence):
        if not answer.version:
            continue
        event = journals.get((answer.saga, answer.version))
        if event is None or (event.to_state, event.status) != (answer.state, answer.status):
            yield (
                f"{asked.mutation} with key {asked.key} was answered with {answer.status} in {answer.state} at version "
                f"{answer.version} of saga {answer.saga}; the journal has {event}"
            )


def advances_taken_once(evidence: Evidence) -> Iterator[str]:
    """Each key of an answered `advanceSaga` is one INPUT_RECEIVED; unanswered ones may be one, and never two."""
    answered: dict[str, set[str]] = defaultdict(set)
    uncertain: dict[str, set[str]] = defaultdict(set)
    asked = _asked(evidence)
    for record in evidence.history:
        if isinstance(record, Answered | Unanswered) and asked[record.request].mutation == "advanceSaga":
            key = asked[record.request].key
            if isinstance(record, Answered):
                answered[record.saga].add(key)
            else:
                uncertain[_saga_of(key)].add(key)
    journals = by_saga(evidence)
    for saga in evidence.sagas:
        taken = sum(event.type == "INPUT_RECEIVED" for event in journals.get(saga.id, []))
        least = len(answered[saga.id])
        most = len(answered[saga.id] | uncertain[saga.id])
        if not least <= taken <= most:
            yield f"saga {saga.id} took an input {taken} times; {least} were answered, {most - least} more may have been taken"


def _saga_of(key: str) -> str:
    """Keys of `advanceSaga` begin with their saga."""
    return key.partition("/")[0]


def nothing_refused_wrongly(evidence: Evidence) -> Iterator[str]:
    """What is away is said to be away; nothing else may go wrong inside, and what users may do and see is not refused."""
    asked = _asked(evidence)
    for record in evidence.history:
        if not isinstance(record, Refused):
            continue
        request = asked[record.request]
        if record.code in _BUG or request.mutation in STARTS | {"query", "createMergeRequest"}:
            yield f"{request.mutation} with key {request.key}: {record.code}: {record.message}"


def one_merge_request(evidence: Evidence) -> Iterator[str]:
    """A branch has at most one merge request to a target, and it is the one that every client was told."""
    there: dict[tuple[int, str], list[int]] = defaultdict(list)
    for request in evidence.merge_requests:
        there[request.project, request.branch].append(request.iid)
    for (project, branch), iids in there.items():
        if len(iids) > 1:
            yield f"project {project} has the merge requests {iids} of {branch}"
    for _, answer in _answers(evidence):
        if answer.merge_request:
            iids = there.get((evidence.projects[answer.project], answer.branch), [])
            if answer.merge_request not in iids:
                yield f"{answer.project} {answer.branch}: told merge request {answer.merge_request}, there are {iids}"

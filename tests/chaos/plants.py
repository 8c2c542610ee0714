"""Lies: each changes evidence that is in order so that one promise is broken, and names the rule that must find it.

They work on any evidence with a completed Balance saga in it, so that they are put into a recorded run too.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from tests.chaos.evidence import EventRow, Evidence, GitCommit, SagaRow
from tests.chaos.history import (
    Answered,
    Asked,
    Ended,
    ForeignCommit,
    Killed,
    Leased,
    Record,
    Refused,
    Subscribed,
    Told,
)

T = TypeVar("T")
Lie = Callable[[Evidence], None]


def _first(things: list[T], wanted: Callable[[T], bool]) -> int:
    """The place of the first thing that is wanted; raises LookupError where the evidence has none."""
    for place, thing in enumerate(things):
        if wanted(thing):
            return place
    raise LookupError("this evidence has nothing to lie about")


def _completed(evidence: Evidence) -> int:
    """A completed saga with a task of a worker's."""
    with_tasks = {task.saga for task in evidence.tasks}
    return _first(evidence.sagas, lambda row: row.status == "COMPLETED" and row.id in with_tasks)


def _events_told(evidence: Evidence) -> list[int]:
    """The places of three events in a row that one subscriber was told over one connection."""
    told = [place for place, record in enumerate(evidence.history) if isinstance(record, Told) and record.type]
    for place in told:
        record = evidence.history[place]
        assert isinstance(record, Told)
        mine = [
            other
            for other in range(place, len(evidence.history))
            if getattr(evidence.history[other], "subscriber", 0) == record.subscriber
        ][:3]
        if len(mine) == 3 and all(isinstance(evidence.history[other], Told) for other in mine):
            return mine
    raise LookupError("no subscriber was told three events in a row")


def _change_event(evidence: Evidence, wanted: Callable[[EventRow], bool], **changes: Any) -> None:
    place = _first(evidence.events, wanted)
    evidence.events[place] = replace(evidence.events[place], **changes)


def _change_commit(evidence: Evidence, wanted: Callable[[GitCommit], bool], before: str) -> None:
    place = _first(evidence.commits, wanted)
    commit = evidence.commits[place]
    evidence.commits[place] = replace(commit, changes=(replace(commit.changes[0], before=before),))


def _change_saga(evidence: Evidence, **changes: Any) -> None:
    place = _completed(evidence)
    evidence.sagas[place] = replace(evidence.sagas[place], **changes)


def _answered(evidence: Evidence, mutation: str) -> tuple[Asked, Answered]:
    """A request for the mutation, and its answer."""
    asked = {record.request: record for record in evidence.history if isinstance(record, Asked)}
    for record in evidence.history:
        if isinstance(record, Answered) and asked[record.request].mutation == mutation:
            return asked[record.request], record
    raise LookupError(f"nobody asked for {mutation}")


def _answer_again(evidence: Evidence, mutation: str, **changes: Any) -> None:
    """The same request once more, with an answer that differs."""
    asked, answer = _answered(evidence, mutation)
    again = replace(asked, request=-1)
    evidence.history += [again, replace(answer, request=-1, **changes)]


# -- subscribers


def lost_event(evidence: Evidence) -> None:
    del evidence.history[_events_told(evidence)[1]]


def doubled_event(evidence: Evidence) -> None:
    place = _events_told(evidence)[1]
    evidence.history.insert(place, evidence.history[place])


def events_out_of_order(evidence: Evidence) -> None:
    _, one, other = _events_told(evidence)
    history = evidence.history
    history[one], history[other] = history[other], history[one]


def state_goes_back(evidence: Evidence) -> None:
    mine = {r.subscriber for r in evidence.history if isinstance(r, Subscribed) and r.field == "sagaUpdated"}
    places = [p for p, r in enumerate(evidence.history) if isinstance(r, Told) and r.subscriber in mine]
    last = evidence.history[places[-1]]
    assert isinstance(last, Told)
    first = next(p for p in places if getattr(evidence.history[p], "subscriber", 0) == last.subscriber)
    evidence.history.insert(places[-1] + 1, evidence.history[first])


def event_nobody_journaled(evidence: Evidence) -> None:
    place = _events_told(evidence)[1]
    told = evidence.history[place]
    assert isinstance(told, Told)
    evidence.history[place] = replace(told, state="NOWHERE")


def subscriber_without_the_end(evidence: Evidence) -> None:
    place = _first(evidence.history, lambda r: isinstance(r, Told) and r.type == "COMPLETED")
    del evidence.history[place]


def subscription_never_completed(evidence: Evidence) -> None:
    place = _first(evidence.history, lambda r: isinstance(r, Ended) and r.how == "completed")
    ended = evidence.history[place]
    assert isinstance(ended, Ended)
    evidence.history[place] = replace(ended, how="broken")


# -- answers


def lost_start(evidence: Evidence) -> None:
    _, answer = _answered(evidence, "startBalanceCalculation")
    evidence.sagas = [row for row in evidence.sagas if row.id != answer.saga]
    evidence.events = [event for event in evidence.events if event.saga != answer.saga]


def start_never_answered(evidence: Evidence) -> None:
    evidence.history.append(Asked(0.0, -1, "startBalanceCalculation", "nobody answered this", "x"))


def key_names_two_sagas(evidence: Evidence) -> None:
    _answer_again(evidence, "startBalanceCalculation", created=False, saga="another saga", version=0)


def key_takes_other_input(evidence: Evidence) -> None:
    _answer_again(evidence, "startBalanceCalculation", created=False)
    evidence.history[-2] = replace(_as(Asked, evidence.history[-2]), input="another input")


def created_twice(evidence: Evidence) -> None:
    _answer_again(evidence, "advanceSaga", created=True)
    place = _first(evidence.history, lambda r: isinstance(r, Answered) and r.saga != "" and not r.merge_request)
    _answer_again(evidence, "startBalanceCalculation", created=True)
    evidence.history[place] = replace(_as(Answered, evidence.history[place]), created=True)


def contradicted_answer(evidence: Evidence) -> None:
    _answer_again(evidence, "advanceSaga", created=False, status="COMPLETED")


def answer_of_a_lost_version(evidence: Evidence) -> None:
    _answer_again(evidence, "advanceSaga", created=False, version=10_000)


def lost_advance(evidence: Evidence) -> None:
    _, answer = _answered(evidence, "advanceSaga")
    _change_event(evidence, lambda e: e.saga == answer.saga and e.type == "INPUT_RECEIVED", type="ENTERED")


def advance_taken_twice(evidence: Evidence) -> None:
    _, answer = _answered(evidence, "advanceSaga")
    _change_event(evidence, lambda e: e.saga == answer.saga and e.type == "COMMITTED", type="INPUT_RECEIVED")


def internal_error(evidence: Evidence) -> None:
    asked, _ = _answered(evidence, "advanceSaga")
    evidence.history += [replace(asked, request=-1), Refused(0.0, -1, "INTERNAL_SERVER_ERROR", "Something broke.")]


def second_merge_request(evidence: Evidence) -> None:
    evidence.merge_requests.append(replace(evidence.merge_requests[0], iid=999))


def told_another_merge_request(evidence: Evidence) -> None:
    _answer_again(evidence, "createMergeRequest", merge_request=999)


# -- sagas and journals


def unfinished_saga(evidence: Evidence) -> None:
    _change_saga(evidence, status="RUNNING")


def cancelled_by_nobody(evidence: Evidence) -> None:
    _change_saga(evidence, status="CANCELLED")


def completed_although_cancelled(evidence: Evidence) -> None:
    row = evidence.sagas[_completed(evidence)]
    evidence.history += [
        Asked(0.0, -1, "cancelSaga", f"{row.id}/cancel", "x"),
        Answered(0.0, -1, True, row.id),
    ]


def failed_without_a_cause(evidence: Evidence) -> None:
    kept = {(r.project, r.branch) for r in evidence.history if isinstance(r, ForeignCommit)}
    rows = {row.id: row for row in evidence.sagas}
    foreign = {saga for saga, row in rows.items() if (row.project, row.branch) in kept and len(rows) > 1}
    _change_event(evidence, lambda e: e.type == "COMMITTED" and e.saga not in foreign, type="FAILED")


def leased_for_ever(evidence: Evidence) -> None:
    _change_saga(evidence, leased=True)


def stuck_saga(evidence: Evidence) -> None:
    evidence.stuck.append("somebody waits for nobody")


def gap_in_the_journal(evidence: Evidence) -> None:
    saga = evidence.sagas[_completed(evidence)].id
    del evidence.events[_first(evidence.events, lambda e: e.saga == saga and e.version == 3)]


def doubled_entry(evidence: Evidence) -> None:
    saga = evidence.sagas[_completed(evidence)].id
    evidence.events.append(evidence.events[_first(evidence.events, lambda e: e.saga == saga and e.version == 3)])


def move_off_the_chart(evidence: Evidence) -> None:
    saga = evidence.sagas[_completed(evidence)].id
    _change_event(evidence, lambda e: e.saga == saga and e.version == 3, to_state="NOWHERE")


def row_behind_its_journal(evidence: Evidence) -> None:
    row: SagaRow = evidence.sagas[_completed(evidence)]
    _change_saga(evidence, version=row.version - 1)


# -- effects


def doubled_commit(evidence: Evidence) -> None:
    commit = evidence.commits[_first(evidence.commits, lambda c: c.step.startswith("COMMIT_"))]
    evidence.commits.append(replace(commit, sha="f" * 40))


def lost_commit(evidence: Evidence) -> None:
    completed = {row.id for row in evidence.sagas if row.status == "COMPLETED"}
    del evidence.commits[_first(evidence.commits, lambda c: c.saga in completed and c.step.startswith("HYDRATE_"))]


def commit_of_another_effect(evidence: Evidence) -> None:
    completed = {row.id for row in evidence.sagas if row.status == "COMPLETED"}
    place = _first(evidence.commits, lambda c: c.saga in completed and c.step.startswith("HYDRATE_"))
    evidence.commits[place] = replace(evidence.commits[place], step="HYDRATE_CONDENSER/77")


def skipped_effect(evidence: Evidence) -> None:
    _change_event(evidence, lambda e: e.type == "COMMITTED", type="ENTERED")


def commit_nobody_tells(evidence: Evidence) -> None:
    calm = {row.id for row in evidence.sagas} - {event.saga for event in evidence.events if event.type == "FAILED"}
    _change_event(
        evidence, lambda e: e.type == "COMMITTED" and e.saga in calm, type="COMMIT_NOT_NEEDED", data={"file": "x"}
    )


def second_task_for_a_visit(evidence: Evidence) -> None:
    evidence.tasks.append(replace(evidence.tasks[0], id="another task"))


def published_another_task(evidence: Evidence) -> None:
    _change_event(evidence, lambda e: e.type == "TASK_PUBLISHED", data={"task": "another task"})


def task_never_published(evidence: Evidence) -> None:
    saga = evidence.sagas[_completed(evidence)].id
    place = _first(evidence.tasks, lambda t: t.saga == saga and t.status == "SUCCEEDED")
    evidence.tasks[place] = replace(evidence.tasks[place], status="QUEUED", published=False)


def report_of_an_unknown_task(evidence: Evidence) -> None:
    evidence.reported.append("another task")


def doubled_result(evidence: Evidence) -> None:
    commit = evidence.commits[_first(evidence.commits, lambda c: c.task != "")]
    evidence.commits.append(replace(commit, sha="f" * 40))


def result_of_another_task(evidence: Evidence) -> None:
    completed = {row.id for row in evidence.sagas if row.status == "COMPLETED"}
    _change_event(
        evidence,
        lambda e: e.type == "RESULT_ACCEPTED" and e.saga in completed and e.data.get("commit") is not None,
        data={"task": evidence.tasks[0].id, "commit": "0" * 40},
    )


def message_left_behind(evidence: Evidence) -> None:
    evidence.queued = 1


# -- files


def stale_overwrite(evidence: Evidence) -> None:
    _change_commit(evidence, lambda c: c.step.startswith("COMMIT_"), "what a colleague wrote")


def hydration_over_a_file(evidence: Evidence) -> None:
    _change_commit(evidence, lambda c: c.step.startswith("HYDRATE_"), "what a colleague wrote")


def result_over_foreign_work(evidence: Evidence) -> None:
    _change_commit(evidence, lambda c: c.task != "", "what a colleague wrote")


def commit_of_two_files(evidence: Evidence) -> None:
    place = _first(evidence.commits, lambda c: c.step.startswith("COMMIT_"))
    commit = evidence.commits[place]
    evidence.commits[place] = replace(commit, changes=commit.changes * 2)


def foreign_commit_gone(evidence: Evidence) -> None:
    kept = {record.sha for record in evidence.history if isinstance(record, ForeignCommit)}
    del evidence.commits[_first(evidence.commits, lambda c: c.sha in kept)]


# -- take-over


def _lease(evidence: Evidence, moved: float | None) -> None:
    """A lease of an engine that was killed while all else was up, long after the run."""
    at = max(record.at for record in evidence.history) + 100
    evidence.history.append(Killed(at, "engine", "engine-1"))
    evidence.history.append(Leased(at + 90, at, "some saga", None, None if moved is None else at + moved))


def slow_take_over(evidence: Evidence) -> None:
    _lease(evidence, 10.5)


def no_take_over(evidence: Evidence) -> None:
    _lease(evidence, None)


def _as(kind: type[T], record: Record) -> T:
    assert isinstance(record, kind)
    return record


_BY_RULE: Mapping[str, tuple[Lie, ...]] = {
    "subscribers are told each event once and in order": (
        lost_event,
        doubled_event,
        events_out_of_order,
        state_goes_back,
    ),
    "subscribers are told what the journal says": (event_nobody_journaled,),
    "subscribers are told the end": (subscriber_without_the_end, subscription_never_completed),
    "every accepted start is there": (lost_start,),
    "every saga finished": (
        start_never_answered,
        unfinished_saga,
        cancelled_by_nobody,
        completed_although_cancelled,
    ),
    "one key, one saga": (key_names_two_sagas, key_takes_other_input),
    "created once": (created_twice,),
    "answers stand in the journal": (contradicted_answer, answer_of_a_lost_version),
    "an advance is taken once": (lost_advance, advance_taken_twice),
    "nothing is refused without a reason": (internal_error,),
    "one merge request a branch": (second_merge_request, told_another_merge_request),
    "no failure without a cause": (failed_without_a_cause,),
    "nothing is stuck": (leased_for_ever, stuck_saga),
    "journals have no gap": (gap_in_the_journal, doubled_entry),
    "journals follow the chart": (move_off_the_chart,),
    "journals agree with their sagas": (row_behind_its_journal,),
    "one commit an effect": (doubled_commit,),
    "every effect is done": (lost_commit, commit_of_another_effect, skipped_effect),
    "every commit is told": (commit_nobody_tells,),
    "one task a visit": (
        second_task_for_a_visit,
        published_another_task,
        task_never_published,
        report_of_an_unknown_task,
    ),
    "one result a task": (doubled_result, result_of_another_task),
    "the queue is drained": (message_left_behind,),
    "nothing foreign is overwritten": (
        stale_overwrite,
        hydration_over_a_file,
        result_over_foreign_work,
        commit_of_two_files,
    ),
    "foreign commits are kept": (foreign_commit_gone,),
    "take-over within 10 s": (slow_take_over, no_take_over),
}


def lies() -> Iterator[tuple[str, Lie]]:
    """Every lie with the rule that must find it."""
    for rule, planted in _BY_RULE.items():
        yield from ((rule, lie) for lie in planted)

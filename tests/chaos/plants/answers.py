"""Lies about what clients asked and were answered."""

from dataclasses import replace

from tests.chaos.evidence import Evidence
from tests.chaos.history import Answered, Asked, Refused
from tests.chaos.plants.choosing import answer_again, answered, as_a, asked_for, certainly_advanced, change_event

START, ADVANCE = "startBalanceCalculation", "advanceSaga"


def lost_start(evidence: Evidence) -> None:
    _, answer = answered(evidence, START)
    evidence.sagas = [row for row in evidence.sagas if row.id != answer.saga]
    evidence.events = [event for event in evidence.events if event.saga != answer.saga]


def start_never_answered(evidence: Evidence) -> None:
    evidence.history.append(Asked(0.0, -1, START, "nobody answered this", "x"))


def key_names_two_sagas(evidence: Evidence) -> None:
    answer_again(evidence, START, created=False, saga="another saga", version=0)


def key_takes_other_input(evidence: Evidence) -> None:
    answer_again(evidence, START, created=False)
    evidence.history[-2] = replace(as_a(Asked, evidence.history[-2]), input="another input")


def created_twice(evidence: Evidence) -> None:
    asked = asked_for(evidence)
    created = [r for r in evidence.history if isinstance(r, Answered) and r.created]
    answer_again(evidence, asked[created[0].request].mutation, lambda answer: answer is created[0])


def contradicted_answer(evidence: Evidence) -> None:
    answer_again(
        evidence, ADVANCE, lambda answer: answer.version > 0 and answer.status != "COMPLETED", status="COMPLETED"
    )


def answer_of_a_lost_version(evidence: Evidence) -> None:
    answer_again(evidence, ADVANCE, created=False, version=10_000)


def lost_advance(evidence: Evidence) -> None:
    saga = certainly_advanced(evidence)
    change_event(evidence, lambda event: event.saga == saga and event.type == "INPUT_RECEIVED", type="ENTERED")


def advance_taken_twice(evidence: Evidence) -> None:
    saga = certainly_advanced(evidence)
    change_event(evidence, lambda event: event.saga == saga and event.type != "INPUT_RECEIVED", type="INPUT_RECEIVED")


def internal_error(evidence: Evidence) -> None:
    asked, _ = answered(evidence, ADVANCE)
    evidence.history += [replace(asked, request=-1), Refused(0.0, -1, "INTERNAL_SERVER_ERROR", "Something broke.")]


def second_merge_request(evidence: Evidence) -> None:
    evidence.merge_requests.append(replace(evidence.merge_requests[0], iid=999_999))


def told_another_merge_request(evidence: Evidence) -> None:
    answer_again(evidence, "createMergeRequest", merge_request=999_999)

"""Lies about sagas, how they ended, and their journals."""

from dataclasses import replace

from tests.chaos.evidence import Evidence
from tests.chaos.history import Answered, Asked, ForeignCommit
from tests.chaos.plants.choosing import change_event, change_saga, completed_saga, third_event


def unfinished_saga(evidence: Evidence) -> None:
    change_saga(evidence, status="RUNNING")


def cancelled_by_nobody(evidence: Evidence) -> None:
    change_saga(evidence, status="CANCELLED")


def completed_although_cancelled(evidence: Evidence) -> None:
    row = completed_saga(evidence)
    evidence.history += [Asked(0.0, -1, "cancelSaga", f"{row.id}/cancel", "x"), Answered(0.0, -1, True, row.id)]


def failed_without_a_cause(evidence: Evidence) -> None:
    changed = {
        (record.project, record.branch)
        for record in evidence.history
        if isinstance(record, ForeignCommit) and record.path.endswith("_input.json")
    }
    calm = {row.id for row in evidence.sagas if (row.project, row.branch) not in changed}
    change_event(evidence, lambda event: event.saga in calm, type="FAILED")


def leased_for_ever(evidence: Evidence) -> None:
    change_saga(evidence, leased=True)


def stuck_saga(evidence: Evidence) -> None:
    evidence.stuck.append("somebody waits for nobody")


def gap_in_the_journal(evidence: Evidence) -> None:
    del evidence.events[third_event(evidence)]


def doubled_entry(evidence: Evidence) -> None:
    evidence.events.append(evidence.events[third_event(evidence)])


def move_off_the_chart(evidence: Evidence) -> None:
    place = third_event(evidence)
    evidence.events[place] = replace(evidence.events[place], to_state="NOWHERE")


def row_behind_its_journal(evidence: Evidence) -> None:
    change_saga(evidence, version=completed_saga(evidence).version - 1)

"""Lies about commits, tasks and files, and about who took a dead engine's sagas over."""

from dataclasses import replace

from tests.chaos.evidence import Evidence
from tests.chaos.history import ForeignCommit, Killed, Leased
from tests.chaos.plants.choosing import (
    COLLEAGUES,
    change_event,
    completed_saga,
    completed_sagas,
    done_commit,
    done_effect,
    first,
    replace_what,
    told_once,
)


def doubled_commit(evidence: Evidence) -> None:
    commit = evidence.commits[first(evidence.commits, lambda commit: commit.step.startswith("COMMIT_"))]
    evidence.commits.append(replace(commit, sha="f" * 40))


def lost_commit(evidence: Evidence) -> None:
    del evidence.commits[done_commit(evidence)]


def commit_of_another_effect(evidence: Evidence) -> None:
    place = done_commit(evidence)
    evidence.commits[place] = replace(evidence.commits[place], step="HYDRATE_CONDENSER/77")


def skipped_effect(evidence: Evidence) -> None:
    place = done_effect(evidence)
    evidence.events[place] = replace(evidence.events[place], type="ENTERED")


def commit_nobody_tells(evidence: Evidence) -> None:
    place = told_once(evidence)
    evidence.events[place] = replace(evidence.events[place], type="COMMIT_NOT_NEEDED", data={"file": "x"})


def second_task_for_a_visit(evidence: Evidence) -> None:
    evidence.tasks.append(replace(evidence.tasks[0], id="another task"))


def published_another_task(evidence: Evidence) -> None:
    change_event(evidence, lambda event: event.type == "TASK_PUBLISHED", data={"task": "another task"})


def task_never_published(evidence: Evidence) -> None:
    saga = completed_saga(evidence).id
    place = first(evidence.tasks, lambda task: task.saga == saga and task.status == "SUCCEEDED")
    evidence.tasks[place] = replace(evidence.tasks[place], status="QUEUED", published=False)


def report_of_an_unknown_task(evidence: Evidence) -> None:
    evidence.reported.append("another task")


def doubled_result(evidence: Evidence) -> None:
    commit = evidence.commits[first(evidence.commits, lambda commit: commit.task != "")]
    evidence.commits.append(replace(commit, sha="f" * 40))


def result_of_another_task(evidence: Evidence) -> None:
    sagas = completed_sagas(evidence)
    change_event(
        evidence,
        lambda event: event.type == "RESULT_ACCEPTED" and event.saga in sagas and event.data.get("commit") is not None,
        data={"task": evidence.tasks[0].id, "commit": "0" * 40},
    )


def message_left_behind(evidence: Evidence) -> None:
    evidence.queued = 1


# -- files


def stale_overwrite(evidence: Evidence) -> None:
    replace_what(evidence, COLLEAGUES, lambda commit: commit.step.startswith("COMMIT_"))


def hydration_over_a_file(evidence: Evidence) -> None:
    replace_what(evidence, COLLEAGUES, lambda commit: commit.step.startswith("HYDRATE_"))


def result_over_foreign_work(evidence: Evidence) -> None:
    replace_what(evidence, COLLEAGUES, lambda commit: commit.task != "")


def commit_of_two_files(evidence: Evidence) -> None:
    place = first(evidence.commits, lambda commit: commit.step.startswith("COMMIT_"))
    commit = evidence.commits[place]
    evidence.commits[place] = replace(commit, changes=commit.changes * 2)


def foreign_commit_gone(evidence: Evidence) -> None:
    commit = evidence.commits[0]
    gone = ForeignCommit(0.0, commit.project, "a branch", "condenser_input.json", "f" * 40, "e" * 40)
    evidence.history.append(gone)


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

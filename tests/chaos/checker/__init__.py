"""The history checker: what must be true of a run, whatever was done to it; written apart from the engine.

Each rule takes the evidence and yields what contradicts it. A rule knows the promises, the tables, the trailers and the
API; it imports nothing of the service.
"""

from collections.abc import Callable, Iterator, Mapping

from tests.chaos.checker import answers, effects, ends, files, journals, subscriptions, takeover
from tests.chaos.evidence import Evidence

Rule = Callable[[Evidence], Iterator[str]]

RULES: Mapping[str, Rule] = {
    "every accepted start is there": answers.starts_are_there,
    "one key, one saga": answers.one_saga_a_key,
    "created once": answers.created_once,
    "answers stand in the journal": answers.answers_stand,
    "an advance is taken once": answers.advances_taken_once,
    "nothing is refused without a reason": answers.nothing_refused_wrongly,
    "one merge request a branch": answers.one_merge_request,
    "every saga finished": ends.all_finished,
    "no failure without a cause": ends.failures_have_causes,
    "nothing is stuck": ends.nothing_stuck,
    "journals have no gap": journals.no_gaps,
    "journals follow the chart": journals.follow_charts,
    "journals agree with their sagas": journals.agree_with_rows,
    "subscribers are told each event once and in order": subscriptions.events_in_order,
    "subscribers are told what the journal says": subscriptions.told_as_journaled,
    "subscribers are told the end": subscriptions.told_the_end,
    "one commit an effect": effects.one_commit_an_effect,
    "every effect is done": effects.effects_done,
    "every commit is told": effects.commits_told,
    "one task a visit": effects.one_task_a_visit,
    "one result a task": effects.one_result_a_task,
    "the queue is drained": effects.queue_drained,
    "nothing foreign is overwritten": files.nothing_overwritten,
    "foreign commits are kept": files.foreign_kept,
    "take-over within 10 s": takeover.in_time,
}


def violations(evidence: Evidence) -> list[str]:
    """Everything that is wrong, each with the rule that it breaks; empty: all promises held."""
    return [f"{name}: {found}" for name, rule in RULES.items() for found in rule(evidence)]

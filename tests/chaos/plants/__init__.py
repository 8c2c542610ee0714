"""Lies: each changes evidence that is in order so that one promise is broken, and names the rule that must find it.

They work on any evidence with a completed Balance saga in it, so that they are put into a recorded run too.
"""

from collections.abc import Iterator, Mapping

from tests.chaos.plants import answers, effects, journals, subscribers
from tests.chaos.plants.choosing import Lie

_BY_RULE: Mapping[str, tuple[Lie, ...]] = {
    "subscribers are told each event once and in order": (
        subscribers.lost_event,
        subscribers.doubled_event,
        subscribers.events_out_of_order,
        subscribers.state_goes_back,
    ),
    "subscribers are told what the journal says": (subscribers.event_nobody_journaled,),
    "subscribers are told the end": (subscribers.subscriber_without_the_end, subscribers.subscription_never_completed),
    "every accepted start is there": (answers.lost_start,),
    "every saga finished": (
        answers.start_never_answered,
        journals.unfinished_saga,
        journals.cancelled_by_nobody,
        journals.completed_although_cancelled,
    ),
    "one key, one saga": (answers.key_names_two_sagas, answers.key_takes_other_input),
    "created once": (answers.created_twice,),
    "answers stand in the journal": (answers.contradicted_answer, answers.answer_of_a_lost_version),
    "an advance is taken once": (answers.lost_advance, answers.advance_taken_twice),
    "nothing is refused without a reason": (answers.internal_error,),
    "one merge request a branch": (answers.second_merge_request, answers.told_another_merge_request),
    "no failure without a cause": (journals.failed_without_a_cause,),
    "nothing is stuck": (journals.leased_for_ever, journals.stuck_saga),
    "journals have no gap": (journals.gap_in_the_journal, journals.doubled_entry),
    "journals follow the chart": (journals.move_off_the_chart,),
    "journals agree with their sagas": (journals.row_behind_its_journal,),
    "one commit an effect": (effects.doubled_commit,),
    "every effect is done": (effects.lost_commit, effects.commit_of_another_effect, effects.skipped_effect),
    "every commit is told": (effects.commit_nobody_tells,),
    "one task a visit": (
        effects.second_task_for_a_visit,
        effects.published_another_task,
        effects.task_never_published,
        effects.report_of_an_unknown_task,
    ),
    "one result a task": (effects.doubled_result, effects.result_of_another_task),
    "the queue is drained": (effects.message_left_behind,),
    "nothing foreign is overwritten": (
        effects.stale_overwrite,
        effects.hydration_over_a_file,
        effects.result_over_foreign_work,
        effects.commit_of_two_files,
    ),
    "foreign commits are kept": (effects.foreign_commit_gone,),
    "take-over within 10 s": (effects.slow_take_over, effects.no_take_over),
}


def lies() -> Iterator[tuple[str, Lie]]:
    """Every lie with the rule that must find it."""
    for rule, planted in _BY_RULE.items():
        yield from ((rule, lie) for lie in planted)

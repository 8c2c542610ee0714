"""The saga of one merge request (FR-ORCH-6): a single step, for the sake of its lease, effect key and crash points."""

from sagas import states
from sagas.definition import COMPLETED, Action, SagaDefinition, Step, StepKind, Transition, Trigger

NAME = "merge_request"


def merge_request_definition() -> SagaDefinition:
    """Open the merge request, or find the one that is open."""
    return SagaDefinition(
        name=NAME,
        title={"en": "Merge request", "ru": "Запрос на слияние"},
        steps=(
            Step(states.OPEN_MERGE_REQUEST, StepKind.ACTION, Action.OPEN_MERGE_REQUEST),
            Step(COMPLETED, StepKind.FINAL),
        ),
        transitions=(Transition(states.OPEN_MERGE_REQUEST, Trigger.DONE, COMPLETED),),
    )

"""The saga of one independent calculation (FR-ORCH-3): one commit with the input, one task, its result."""

from sagas import states
from sagas.balance import calculation_path, input_path
from sagas.catalogue import Catalogue
from sagas.definition import COMPLETED, SagaDefinition, Step, StepKind, Transition, Trigger

_PREFIX = "calculation_"


def calculation_definition_name(calculation: str) -> str:
    """The definition that runs this calculation alone."""
    return f"{_PREFIX}{calculation}"


def calculation_definition(catalogue: Catalogue, name: str) -> SagaDefinition:
    """The saga that commits the values it was started with and has them calculated.

    Its form is off the path: only a retry leads there, for the user to correct the values. Raises KeyError for a
    calculation that the catalogue does not have.
    """
    calculation = catalogue.calculation(name)
    steps = (
        states.prepare_branch_step(),
        *states.input_steps(name),
        *states.result_steps(name),
        Step(COMPLETED, StepKind.FINAL),
    )
    return SagaDefinition(
        name=calculation_definition_name(name),
        title={"en": f"Calculation: {calculation.title['en']}", "ru": f"Расчёт: {calculation.title['ru']}"},
        steps=steps,
        transitions=(
            Transition(states.PREPARE_BRANCH, Trigger.DONE, states.commit_input(name)),
            *input_path(name),
            *calculation_path(name, COMPLETED),
            *states.retries(steps),
        ),
        calculations={needed.name: needed.to_json() for needed in catalogue.in_dependency_order(name)},
    )

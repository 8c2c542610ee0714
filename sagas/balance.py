"""The Balance saga: each dependency of the balance in turn, then the balance itself; generated from the catalogue."""

from collections.abc import Iterator

from sagas import states
from sagas.catalogue import Catalogue
from sagas.definition import COMPLETED, DefinitionError, SagaDefinition, Step, StepKind, Transition, Trigger

NAME = "balance"
TARGET = "balance"
"""The calculation at the end of the chain."""


def balance_definition(catalogue: Catalogue) -> SagaDefinition:
    """The saga that brings every dependency up to date, asking the user for inputs, and then calculates the balance.

    Raises DefinitionError where the catalogue has no calculation `balance`.
    """
    if TARGET not in catalogue.by_name:
        raise DefinitionError(f"the catalogue has no calculation {TARGET!r}, which the Balance saga ends with")
    needed = catalogue.in_dependency_order(TARGET)
    dependencies = [calculation.name for calculation in needed[:-1]]
    steps = (
        states.prepare_branch_step(),
        *(step for name in dependencies for step in _dependency_steps(name)),
        *states.result_steps(TARGET),
        Step(COMPLETED, StepKind.FINAL),
    )
    return SagaDefinition(
        name=NAME,
        title={"en": "Balance calculation", "ru": "Расчёт баланса"},
        steps=steps,
        transitions=(*_path(dependencies), *states.retries(steps)),
        calculations={calculation.name: calculation.to_json() for calculation in needed},
    )


def _dependency_steps(name: str) -> tuple[Step, ...]:
    return (*states.look_steps(name), *states.input_steps(name), *states.result_steps(name))


def _path(dependencies: list[str]) -> Iterator[Transition]:
    beginnings = [*(states.check(name) for name in dependencies), states.dispatch(TARGET)]
    yield Transition(states.PREPARE_BRANCH, Trigger.DONE, beginnings[0])
    for name, following in zip(dependencies, beginnings[1:], strict=True):
        yield from _dependency_path(name, following)
    yield from calculation_path(TARGET, COMPLETED)


def _dependency_path(name: str, following: str) -> Iterator[Transition]:
    yield Transition(states.check(name), Trigger.OUTPUT_CURRENT, following)
    yield Transition(states.check(name), Trigger.INPUT_FOUND, states.await_input(name))
    yield Transition(states.check(name), Trigger.INPUT_MISSING, states.hydrate(name))
    yield Transition(states.hydrate(name), Trigger.DONE, states.await_input(name))
    yield from input_path(name)
    yield from calculation_path(name, following)


def input_path(name: str) -> Iterator[Transition]:
    """From the form to the dispatch."""
    yield Transition(states.await_input(name), Trigger.INPUT_RECEIVED, states.commit_input(name))
    yield Transition(states.commit_input(name), Trigger.DONE, states.dispatch(name))


def calculation_path(name: str, following: str) -> Iterator[Transition]:
    """From the dispatch to what follows the result; a failed calculation can be dispatched again."""
    yield Transition(states.dispatch(name), Trigger.DONE, states.await_result(name))
    yield Transition(states.await_result(name), Trigger.RESULT_FOUND, states.sync_result(name))
    yield Transition(states.await_result(name), Trigger.REDISPATCH, states.dispatch(name))
    yield Transition(states.sync_result(name), Trigger.DONE, following)

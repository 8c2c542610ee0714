"""The names of the states that a calculation passes through, and the retries that lead back along the way."""

from collections.abc import Sequence

from sagas.definition import Action, Step, StepKind, Transition, back_to

PREPARE_BRANCH = "PREPARE_BRANCH"
OPEN_MERGE_REQUEST = "OPEN_MERGE_REQUEST"


def check(calculation: str) -> str:
    """CHECK_C: look what the branch has of it."""
    return f"CHECK_{calculation.upper()}"


def hydrate(calculation: str) -> str:
    """HYDRATE_C: make the missing input file."""
    return f"HYDRATE_{calculation.upper()}"


def await_input(calculation: str) -> str:
    """AWAIT_USER_C_INPUT: the form is open."""
    return f"AWAIT_USER_{calculation.upper()}_INPUT"


def commit_input(calculation: str) -> str:
    """COMMIT_C_INPUT: put what the user gave on the branch."""
    return f"COMMIT_{calculation.upper()}_INPUT"


def dispatch(calculation: str) -> str:
    """DISPATCH_C: hand the task to the broker."""
    return f"DISPATCH_{calculation.upper()}"


def await_result(calculation: str) -> str:
    """AWAIT_C_RESULT: a worker calculates."""
    return f"AWAIT_{calculation.upper()}_RESULT"


def sync_result(calculation: str) -> str:
    """SYNC_C_RESULT: read the output off the branch."""
    return f"SYNC_{calculation.upper()}_RESULT"


def next_step_name(calculation: str) -> str:
    """What the service description calls a calculation that is to come: CONDENSER_CALCULATION."""
    return f"{calculation.upper()}_CALCULATION"


def prepare_branch_step() -> Step:
    """The first step of every calculating saga; skipped where the branch is there."""
    return Step(PREPARE_BRANCH, StepKind.ACTION, Action.PREPARE_BRANCH)


def look_steps(calculation: str) -> tuple[Step, ...]:
    """Look for an input, and make it where it is missing."""
    return (
        Step(check(calculation), StepKind.ACTION, Action.CHECK, calculation),
        Step(hydrate(calculation), StepKind.ACTION, Action.HYDRATE, calculation),
    )


def input_steps(calculation: str) -> tuple[Step, ...]:
    """Ask the user, and commit the answer."""
    return (
        Step(await_input(calculation), StepKind.INPUT, calculation=calculation),
        Step(commit_input(calculation), StepKind.ACTION, Action.COMMIT_INPUT, calculation),
    )


def result_steps(calculation: str) -> tuple[Step, ...]:
    """Have it calculated, and take the result."""
    return (
        Step(dispatch(calculation), StepKind.ACTION, Action.DISPATCH, calculation),
        Step(await_result(calculation), StepKind.RESULT, calculation=calculation),
        Step(sync_result(calculation), StepKind.ACTION, Action.SYNC_RESULT, calculation),
    )


def retries(steps: Sequence[Step]) -> tuple[Transition, ...]:
    """From every state but the last, back to each form and each check before it, so that a person can mend what failed."""
    return tuple(
        Transition(source.name, back_to(target.name), target.name)
        for place, source in enumerate(steps)
        if source.kind is not StepKind.FINAL
        for target in steps[:place]
        if target.kind is StepKind.INPUT or target.action is Action.CHECK
    )

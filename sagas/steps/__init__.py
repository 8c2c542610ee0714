"""What each kind of step does, through ports; `perform` finds the code for a saga's state."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from sagas.definition import Action, StepKind
from sagas.errors import RetryableError, TerminalError
from sagas.models import SagaStatus
from sagas.results import Failed, Stayed, StepResult, TryAgain
from sagas.steps.branches import prepare_branch
from sagas.steps.inputs import check, commit_input, hydrate, reopen_form
from sagas.steps.merge_requests import open_merge_request
from sagas.steps.reconciling import EndedByHandError
from sagas.steps.run import StepRun
from sagas.steps.tasks import await_result, dispatch, sync_result
from sagas.steps.undo import cancel

ACTIONS: Mapping[Action, Callable[[StepRun], Awaitable[StepResult]]] = {
    Action.PREPARE_BRANCH: prepare_branch,
    Action.CHECK: check,
    Action.HYDRATE: hydrate,
    Action.COMMIT_INPUT: commit_input,
    Action.DISPATCH: dispatch,
    Action.SYNC_RESULT: sync_result,
    Action.OPEN_MERGE_REQUEST: open_merge_request,
}


async def perform(run: StepRun) -> StepResult:
    """Act once for the saga's present state and report; every purposeful error becomes a report."""
    try:
        return await _act(run)
    except RetryableError as error:
        return TryAgain(error)
    except EndedByHandError as error:
        return Failed(error, context=replace(run.context, merge_requests=tuple(sorted(error.still_open))))
    except TerminalError as error:
        return Failed(error)


async def _act(run: StepRun) -> StepResult:
    if run.saga.status is SagaStatus.CANCELLING:
        return await cancel(run)
    step = run.step
    if step.action is not None:
        return await ACTIONS[step.action](run)
    if step.kind is StepKind.RESULT:
        return await await_result(run)
    if step.kind is StepKind.INPUT:
        return await reopen_form(run)
    return Stayed()

"""From a global id back to its thing."""

from sagas.ids import ProjectId
from schema import ids
from schema.context import Context
from schema.event import SagaEvent
from schema.issue import Issue
from schema.merge_request import MergeRequest
from schema.node import Node
from schema.permissions import may_read, readable_saga, visible_issue
from schema.saga import Saga, saga_of
from schema.task import CalculationTask

NODE_CLASSES = (Saga, SagaEvent, CalculationTask, Issue, MergeRequest)


async def node(context: Context, value: str) -> Node | None:
    """The thing with this id; None where it does not exist, or the viewer may not see it.

    Raises RefusedError for text that is not one of our ids.
    """
    context.require_viewer()
    kind, key = ids.split_id(value, "id")
    match kind:
        case ids.SAGA:
            return await _saga(context, value)
        case ids.SAGA_EVENT:
            return await _event(context, key)
        case ids.CALCULATION_TASK:
            return await _task(context, key)
        case ids.ISSUE:
            return await _issue(context, key)
        case ids.MERGE_REQUEST:
            return await _merge_request(context, key)
        case _:
            return None


async def _saga(context: Context, value: str) -> Saga | None:
    row = await readable_saga(context, ids.saga_id(value))
    return None if row is None else await saga_of(context, row)


async def _event(context: Context, key: str) -> SagaEvent | None:
    saga, version = ids.event_key(key)
    if await readable_saga(context, saga) is None:
        return None
    row = await context.backend.queries.event(saga, version)
    return None if row is None else SagaEvent.of(row)


async def _task(context: Context, key: str) -> CalculationTask | None:
    row = await context.backend.queries.task(ids.task_id(key))
    if row is None or not await may_read(context, ProjectId(row.project_id)):
        return None
    return CalculationTask.of(row)


async def _issue(context: Context, key: str) -> Issue | None:
    project, iid = ids.project_key(key)
    found = await visible_issue(context, project, iid)
    return None if found is None else Issue.of(found)


async def _merge_request(context: Context, key: str) -> MergeRequest | None:
    project, iid = ids.project_key(key)
    if not await may_read(context, project):
        return None
    found = await context.backend.forge.merge_request(project, iid)
    return None if found is None else MergeRequest.of(found)

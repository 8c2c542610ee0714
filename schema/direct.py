"""The short way through an operation whose document is known to be in order.

Strawberry makes an execution context, an instance of each extension and four rounds of hooks for every request. Of a
document that was parsed, validated and measured before, they have nothing left to say: what remains is its cost, the
user's points, the deadline and the execution itself. Whatever else there is takes the long way, and is told there.
"""

import inspect
from collections.abc import Iterable
from typing import Any

from graphql import GraphQLError, execute
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.schema.base import BaseSchema
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError
from strawberry.types.graphql import OperationType

from schema.context import Context
from schema.deadline import within_deadline
from schema.documents import LONGEST_KEPT, accepted_operation, measured_cost, schema_of
from schema.plans import PlanningExecutor
from schema.rates import charge


async def execute_directly(
    schema: BaseSchema,
    query: str | None,
    *,
    context_value: Context | None = None,
    variable_values: dict[str, Any] | None = None,
    root_value: object = None,
    operation_name: str | None = None,
    allowed_operation_types: Iterable[OperationType] = (),
    operation_extensions: dict[str, Any] | None = None,
) -> ExecutionResult | None:
    """The result of a query or mutation, its errors not yet public; None: it must take the long way.

    Nothing was charged and nothing ran where it must.
    """
    if not query or len(query) > LONGEST_KEPT or context_value is None:
        return None
    limits, variables = context_value.backend.limits, variable_values or {}
    known = accepted_operation(schema_of(schema), query, operation_name, limits)
    if known is None or known.kind is OperationType.SUBSCRIPTION or known.kind not in allowed_operation_types:
        return None
    cost = measured_cost(query, known.operation, variables, limits)
    if cost > limits.cost:
        return None
    context_value.cost = cost
    try:
        await charge(context_value)
        async with within_deadline(limits):
            result = execute(
                schema_of(schema),
                known.document,
                root_value=root_value,
                context_value=context_value,
                variable_values=variables,
                operation_name=operation_name,
                is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]  # Strawberry types it as a plain bool
                executor_class=PlanningExecutor,
                operation_extensions=operation_extensions,
            )
            if inspect.isawaitable(result):
                result = await result
    except GraphQLError as refusal:
        return PreExecutionError(data=None, errors=[refusal])
    except Exception as failure:  # noqa: BLE001 - as Strawberry has it: whatever it is, it becomes an error of the answer
        return PreExecutionError(data=None, errors=[GraphQLError(str(failure), original_error=failure)])
    return ExecutionResult(data=result.data, errors=result.errors)

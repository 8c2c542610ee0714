"""Which subscriptions say the same to everybody who may see their saga, so that they can be executed once for all.

Only what stands here as the same for all readers may be selected; a field that is new to this page is executed for each
subscriber alone, which is dearer and always right.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    get_argument_values,
    get_named_type,
    get_operation_ast,
    get_variable_values,
    visit,
)

from sagas.errors import RefusedError
from sagas.ids import SagaId
from schema import ids
from schema.documents import accepted, cost_of
from schema.limits import SHIPPED, Limits

EVENTS, UPDATED = "sagaEvents", "sagaUpdated"

# Left out, since answers differ by viewer: Saga.availableActions and Saga.issue. Left out, since they ask GitLab or page
# by themselves: Saga.mergeRequest, Saga.events, SagaDefinition.diagram.
SAME_FOR_ALL: Mapping[str, frozenset[str]] = {
    "Node": frozenset({"id"}),
    "Subscription": frozenset({EVENTS, UPDATED}),
    "Saga": frozenset(
        {
            *("id", "definition", "status", "state", "nextStep", "version", "progress", "steps", "pendingInput"),
            *("waitingFor", "waitingSince", "nextAttemptAt", "deadlineAt", "tasks", "projectPath", "branch", "error"),
            *("startedBy", "createdAt", "updatedAt", "finishedAt"),
        }
    ),
    "SagaProgress": frozenset({"completedSteps", "totalSteps", "fraction"}),
    "SagaStep": frozenset(
        {"name", "kind", "visit", "calculation", "status", "attempts", "startedAt", "finishedAt", "error", "commit"}
    ),
    "SagaError": frozenset({"code", "message", "retryable", "occurredAt"}),
    "SagaEvent": frozenset(
        {"id", "saga", "version", "type", "fromState", "toState", "status", "actor", "data", "occurredAt"}
    ),
    "SagaDefinition": frozenset({"name", "version", "title", "states"}),
    "PendingInput": frozenset({"step", "calculation", "draft", "file", "expectedVersion"}),
    "Calculation": frozenset({"name", "title", "inputFile", "outputFile", "dependsOn", "inputSchema"}),
    "CalculationTask": frozenset(
        {
            *("id", "saga", "correlationId", "calculation", "status", "branch", "commitHash", "inputFiles"),
            *("outputFile", "result", "error", "createdAt", "publishedAt", "finishedAt"),
        }
    ),
    "Commit": frozenset({"sha", "webUrl", "message"}),
    "User": frozenset({"id", "username", "name", "avatarUrl"}),
}


@dataclass(frozen=True, slots=True)
class Shareable:
    """A subscription that can share its execution with others that ask the same."""

    query: str
    operation_name: str | None
    variables: Mapping[str, Any]
    field: str
    saga_id: SagaId
    after_version: int
    after_variable: str | None
    """The variable that holds `afterVersion`: subscribers that differ in it alone share too."""

    @property
    def conflated(self) -> bool:
        """Whether only the newest state counts."""
        return self.field == UPDATED

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for all that share."""
        shared = {name: value for name, value in self.variables.items() if name != self.after_variable}
        given = json.dumps(shared, sort_keys=True, separators=(",", ":"))
        return (self.query, self.operation_name or "", given, str(self.saga_id))

    def variables_after(self, version: int) -> dict[str, Any]:
        """The variables, with another `afterVersion` where a variable holds it."""
        return {**self.variables, **({} if self.after_variable is None else {self.after_variable: version})}


def shareable(
    graphql_schema: GraphQLSchema,
    query: str,
    variables: Mapping[str, Any] | None,
    operation_name: str | None,
    limits: Limits = SHIPPED,
) -> Shareable | None:
    """The subscription as one that can be shared; None: execute it alone, which also tells what may be wrong with it."""
    field = _shared_field(graphql_schema, query, operation_name, limits)
    if field is None:
        return None
    operation, node = field
    values = get_variable_values(graphql_schema, operation.variable_definitions or (), dict(variables or {}))
    if isinstance(values, list):
        return None
    assert graphql_schema.subscription_type is not None, "it has a subscription"
    try:
        arguments = get_argument_values(graphql_schema.subscription_type.fields[node.name.value], node, values)
        saga_id = ids.saga_id(arguments["saga_id" if "saga_id" in arguments else "sagaId"], "sagaId")
    except (GraphQLError, RefusedError):
        return None
    after = arguments.get("after_version", arguments.get("afterVersion")) or 0
    if after < 0:
        return None
    return Shareable(
        query,
        operation_name,
        dict(variables or {}),
        node.name.value,
        saga_id,
        after,
        _variable_of(node, "afterVersion"),
    )


@lru_cache(maxsize=256)
def _shared_field(
    graphql_schema: GraphQLSchema, query: str, operation_name: str | None, limits: Limits
) -> tuple[OperationDefinitionNode, FieldNode] | None:
    document = accepted(graphql_schema, query, limits)
    operation = None if document is None else get_operation_ast(document, operation_name)
    if document is None or operation is None or operation.operation is not OperationType.SUBSCRIPTION:
        return None
    roots = operation.selection_set.selections
    if len(roots) != 1 or not isinstance(roots[0], FieldNode) or roots[0].directives or operation.directives:
        return None
    if cost_of(document, operation, {}) > limits.cost:
        return None
    known = _OnlyWhatIsSameForAll(TypeInfo(graphql_schema))
    visit(document, TypeInfoVisitor(known.types, known))
    return (operation, roots[0]) if known.holds else None


class _OnlyWhatIsSameForAll(Visitor):
    """Whether every field of a document stands in SAME_FOR_ALL."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self.types = types
        self.holds = True

    def enter_field(self, node: FieldNode, *_: object) -> None:
        """Look the field up by the type that it is asked of."""
        parent = self.types.get_parent_type()
        known = SAME_FOR_ALL.get(get_named_type(parent).name, frozenset()) if parent is not None else frozenset()
        self.holds = self.holds and (node.name.value == "__typename" or node.name.value in known)


def _variable_of(node: FieldNode, argument: str) -> str | None:
    for given in node.arguments or ():
        if given.name.value == argument and isinstance(given.value, VariableNode):
            return given.value.name.value
    return None

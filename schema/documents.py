"""Parsed and validated documents, kept: two thirds of a small query's cost are parsing and validation.

Errors are never kept from the transport: Strawberry's own parser cache raises inside the hook, which over a websocket
ends the operation without a word, so here a document that does not parse is left to Strawberry to parse again and report.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    NoFragmentCyclesRule,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)
from graphql import OperationType as GraphQLOperationType
from strawberry.extensions import SchemaExtension
from strawberry.schema.base import BaseSchema
from strawberry.types.graphql import OperationType

from schema.exceeded import limit_exceeded
from schema.limits import SHIPPED, Limits
from schema.shape import Measure, PageSizes, over_limits, page_sizes
from schema.standing import require_lean

KEPT = 256
LONGEST_KEPT = 32_768
MOST_ERRORS = 20
_TOO_MANY_TOKENS = "tokens. Parsing aborted"
"""How graphql-core words it; it has no type of its own for this error."""


class Documents(SchemaExtension):
    """Parses under the token limit, then measures, then validates: each document once. Cost goes by each request's pages."""

    def on_operation(self) -> Iterator[None]:
        """Set what holds for this operation before it is parsed."""
        self.execution_context.parse_options["max_tokens"] = self._limits.tokens
        yield

    def on_parse(self) -> Iterator[None]:
        """Take the parsed document where it is known."""
        query = self.execution_context.query
        if query and len(query) <= LONGEST_KEPT:
            self.execution_context.graphql_document = _parsed(query, self._limits.tokens)
        yield
        for error in self.execution_context.pre_execution_errors or ():
            if _TOO_MANY_TOKENS in error.message:
                over = limit_exceeded("tokens", allowed=self._limits.tokens, value=self._limits.tokens + 1)
                error.message, error.extensions = over.message, over.extensions

    def on_validate(self) -> Iterator[None]:
        """Take the verdict where it is known; a document over the limits gets no further validation, which could be dear."""
        document, query = self.execution_context.graphql_document, self.execution_context.query
        if document is not None:
            graphql_schema = schema_of(self.execution_context.schema)
            kept = query is not None and len(query) <= LONGEST_KEPT
            judged = _verdict(graphql_schema, query, self._limits) if kept and query else None
            errors = list(judged if judged is not None else _judge(graphql_schema, document, self._limits))
            self.execution_context.pre_execution_errors = errors or self._cost_errors(document)
        yield

    @property
    def _limits(self) -> Limits:
        context = self.execution_context.context
        return SHIPPED if context is None else context.backend.limits

    def _cost_errors(self, document: DocumentNode) -> list[GraphQLError]:
        execution = self.execution_context
        operation = get_operation_ast(document, execution.operation_name)
        if operation is None or execution.context is None:
            return []
        sizes = page_sizes(operation, execution.variables or {})
        query = execution.query or ""
        if query and len(query) <= LONGEST_KEPT:
            cost = _cost(query, self._limits.tokens, execution.operation_name, tuple(sorted(sizes.items())))
        else:
            cost = cost_of(document, operation, sizes)
        execution.context.cost = cost
        if operation.operation is GraphQLOperationType.SUBSCRIPTION:
            try:
                require_lean(query, execution.variables or {})
            except GraphQLError as too_much:
                return [too_much]
        return [limit_exceeded("cost", allowed=self._limits.cost, value=cost)] if cost > self._limits.cost else []


def schema_of(strawberry_schema: BaseSchema) -> GraphQLSchema:
    """The schema as graphql-core knows it; Strawberry has no public name for it."""
    found: GraphQLSchema = strawberry_schema._schema  # type: ignore[attr-defined]  # noqa: SLF001 - as the docstring says
    return found


def accepted(graphql_schema: GraphQLSchema, query: str, limits: Limits) -> DocumentNode | None:
    """The document, where it parses, is valid and within the limits; None: executing it says what is wrong."""
    if not query or len(query) > LONGEST_KEPT:
        return None
    document = _parsed(query, limits.tokens)
    return None if document is None or _verdict(graphql_schema, query, limits) else document


@dataclass(frozen=True, slots=True)
class Accepted:
    """A document that is valid and within the limits, whatever its variables are, and which of its operations is meant."""

    document: DocumentNode
    operation: OperationDefinitionNode
    kind: OperationType


@lru_cache(maxsize=KEPT)
def accepted_operation(
    graphql_schema: GraphQLSchema, query: str, operation_name: str | None, limits: Limits
) -> Accepted | None:
    """The operation, where there is nothing to say about it; None: executing the long way says it."""
    document = accepted(graphql_schema, query, limits)
    operation = None if document is None else get_operation_ast(document, operation_name)
    if document is None or operation is None:
        return None
    return Accepted(document, operation, OperationType(operation.operation.value))


def measured_cost(query: str, operation: OperationDefinitionNode, variables: Mapping[str, Any], limits: Limits) -> int:
    """What `cost_of` says of an accepted document's operation, kept for each size of its pages."""
    sizes = page_sizes(operation, variables)
    name = operation.name.value if operation.name else None
    return _cost(query, limits.tokens, name, tuple(sorted(sizes.items())))


def cost_of(document: DocumentNode, operation: OperationDefinitionNode, sizes: PageSizes) -> int:
    """How many fields the operation may answer, each counted as often as its pages can repeat it."""
    return Measure(document, sizes).of(operation.selection_set).cost


@lru_cache(maxsize=KEPT)
def _cost(query: str, max_tokens: int, operation_name: str | None, sizes: tuple[tuple[str, int], ...]) -> int:
    document = _parsed(query, max_tokens)
    operation = document and get_operation_ast(document, operation_name)
    return cost_of(document, operation, dict(sizes)) if document and operation else 0


@lru_cache(maxsize=KEPT)
def _parsed(query: str, max_tokens: int) -> DocumentNode | None:
    try:
        return parse(query, max_tokens=max_tokens)
    except GraphQLError:
        return None


@lru_cache(maxsize=KEPT)
def _verdict(graphql_schema: GraphQLSchema, query: str, limits: Limits) -> tuple[GraphQLError, ...]:
    document = _parsed(query, limits.tokens)
    assert document is not None, "validated after it was parsed"
    return _judge(graphql_schema, document, limits)


def _judge(graphql_schema: GraphQLSchema, document: DocumentNode, limits: Limits) -> tuple[GraphQLError, ...]:
    if over := over_limits(document, limits):
        return (over,)
    if Measure(document).circular:
        # It would be refused in any case; the other rules have no measure of it.
        return tuple(validate(graphql_schema, document, [NoFragmentCyclesRule]))
    rules = (*specified_rules, *(() if limits.introspection else (NoSchemaIntrospectionCustomRule,)))
    return tuple(
        validate(graphql_schema, document, rules, max_errors=MOST_ERRORS, hide_suggestions=not limits.suggestions)
    )

"""Parsed and validated documents, kept: two thirds of a small query's cost are parsing and validation.

Errors are never kept from the transport: Strawberry's own parser cache raises inside the hook, which over a websocket
ends the operation without a word, so here a document that does not parse is left to Strawberry to parse again and report.
"""

from collections.abc import Iterator
from functools import lru_cache

from graphql import ASTValidationRule, DocumentNode, GraphQLError, GraphQLSchema, parse, specified_rules, validate
from strawberry.extensions import SchemaExtension
from strawberry.schema import BaseSchema

from schema.limits import QueryShape

MAX_TOKENS = 5_000
KEPT = 256
LONGEST_KEPT = 32_768

_SHAPE: tuple[type[ASTValidationRule], ...] = (QueryShape,)
_RULES: tuple[type[ASTValidationRule], ...] = tuple(specified_rules)


class Documents(SchemaExtension):
    """Parses under the token limit and validates with the limits of `schema.limits`, each document once."""

    def on_operation(self) -> Iterator[None]:
        """Set what holds for this operation before it is parsed."""
        self.execution_context.parse_options["max_tokens"] = MAX_TOKENS
        yield

    def on_parse(self) -> Iterator[None]:
        """Take the parsed document where it is known."""
        query = self.execution_context.query
        if query and len(query) <= LONGEST_KEPT:
            self.execution_context.graphql_document = _parsed(query)
        yield

    def on_validate(self) -> Iterator[None]:
        """Take the verdict where it is known; a document over the limits gets no further validation, which could be dear."""
        document, query = self.execution_context.graphql_document, self.execution_context.query
        if document is not None:
            graphql_schema = schema_of(self.execution_context.schema)
            kept = query is not None and len(query) <= LONGEST_KEPT
            verdict = _verdict(graphql_schema, query) if kept and query else _judge(graphql_schema, document)
            self.execution_context.pre_execution_errors = list(verdict)
        yield


def schema_of(strawberry_schema: BaseSchema) -> GraphQLSchema:
    """The schema as graphql-core knows it; Strawberry has no public name for it."""
    found: GraphQLSchema = strawberry_schema._schema  # type: ignore[attr-defined]  # noqa: SLF001 - as the docstring says
    return found


def accepted(graphql_schema: GraphQLSchema, query: str) -> DocumentNode | None:
    """The document, where it parses, is valid and within the limits; None: executing it says what is wrong."""
    if not query or len(query) > LONGEST_KEPT:
        return None
    document = _parsed(query)
    return None if document is None or _verdict(graphql_schema, query) else document


@lru_cache(maxsize=KEPT)
def _parsed(query: str) -> DocumentNode | None:
    try:
        return parse(query, max_tokens=MAX_TOKENS)
    except GraphQLError:
        return None


@lru_cache(maxsize=KEPT)
def _verdict(graphql_schema: GraphQLSchema, query: str) -> tuple[GraphQLError, ...]:
    document = _parsed(query)
    assert document is not None, "validated after it was parsed"
    return _judge(graphql_schema, document)


def _judge(graphql_schema: GraphQLSchema, document: DocumentNode) -> tuple[GraphQLError, ...]:
    over = validate(graphql_schema, document, _SHAPE)
    return tuple(over or validate(graphql_schema, document, _RULES, max_errors=20))

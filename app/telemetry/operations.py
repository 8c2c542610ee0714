"""GraphQL operations: one span and one count each, told by type, name and the hash of the document alone."""

import hashlib
import time
from collections.abc import Iterator

from graphql import FieldNode, OperationDefinitionNode
from strawberry.extensions import SchemaExtension

from app.telemetry import Telemetry
from app.telemetry.metrics import OTHER
from app.telemetry.names import OperationNames
from app.telemetry.spans import Span, within
from sagas import trace
from sagas.ports import User

_LONGEST_NAME = 100
_INVALID = "invalid"


def observer_of(telemetry: Telemetry) -> type[SchemaExtension]:
    """An extension of the schema that tells of its operations."""
    names = OperationNames()

    class Observed(_ObservedOperation):
        def __init__(self) -> None:
            super().__init__(telemetry, names)

    return Observed


class _ObservedOperation(SchemaExtension):
    """One operation, from before its parsing to its last result."""

    def __init__(self, telemetry: Telemetry, names: OperationNames) -> None:
        self._telemetry = telemetry
        self._names = names
        self._span: Span | None = None
        self._field: str | None = None
        self._ran = False

    def on_operation(self) -> Iterator[None]:
        """Around all of it."""
        began = time.perf_counter()
        span = self._span = self._telemetry.tracer.begin("graphql", parent=trace.current.get())
        try:
            with within(span):
                yield
        finally:
            self._count(time.perf_counter() - began)

    def on_execute(self) -> Iterator[None]:
        """Around the execution; a subscription's ends once it is set up, and so does its span: it may live for days."""
        self._ran = True
        if self._type() != "subscription":
            yield
            self._describe()
            return
        self._field = _root_field(self._definition())
        if self._telemetry.metrics is not None:
            self._telemetry.metrics.subscriptions.labels(self._field).inc()
        yield
        self._describe()
        if self._span is not None:
            self._span.end()
        # What it does from now on, as long as it lives, is part of no trace.
        trace.current.set(None)

    def _count(self, seconds: float) -> None:
        metrics = self._telemetry.metrics
        if metrics is None:
            return
        if self._field is not None:
            metrics.subscriptions.labels(self._field).dec()
        result = self.execution_context.result
        errors = getattr(result, "errors", None) or self.execution_context.pre_execution_errors or ()
        outcome = "refused" if not self._ran else "errors" if errors else "ok"
        known_user = isinstance(getattr(self.execution_context.context, "user", None), User)
        name = self._names.shown(self.execution_context.operation_name, trusted=self._ran and known_user)
        metrics.operations.labels(self._type(), name, outcome).inc()
        if self._ran and self._field is None:
            metrics.operation_seconds.labels(self._type(), name).observe(seconds)
        for error in errors:
            metrics.operation_errors.labels(str((error.extensions or {}).get("code", OTHER))).inc()

    def _describe(self) -> None:
        if self._span is None:
            return
        kind, name = self._type(), (self.execution_context.operation_name or "")[:_LONGEST_NAME]
        document = hashlib.sha256((self.execution_context.query or "").encode("utf-8", "surrogatepass"))
        self._span.rename(f"{kind} {name}".rstrip())
        self._span.note(
            {
                "graphql.operation.type": kind,
                "graphql.operation.name": name,
                "graphql.document.hash": f"sha256:{document.hexdigest()}",
            }
        )

    def _type(self) -> str:
        definition = self._definition()
        return _INVALID if definition is None else definition.operation.value

    def _definition(self) -> OperationDefinitionNode | None:
        document = self.execution_context.graphql_document
        name = self.execution_context.operation_name
        for node in () if document is None else document.definitions:
            if isinstance(node, OperationDefinitionNode) and (not name or (node.name and node.name.value == name)):
                return node
        return None


def _root_field(definition: OperationDefinitionNode | None) -> str:
    first = None if definition is None else definition.selection_set.selections[0]
    # The document is valid, so that a field is one of the schema's; one inside a fragment is not looked for.
    return first.name.value if isinstance(first, FieldNode) else OTHER

"""How big an operation may be: depth, aliases and cost, measured in one memoised walk before anything else runs.

Every fragment is measured once, so that a document of chained fragments costs what its text costs, not what it would
expand to. Cost counts fields, each as often as the page sizes above it allow.
"""

from dataclasses import dataclass
from typing import Any

from graphql import (
    ASTValidationRule,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

from schema.errors import LIMIT_EXCEEDED

MAX_DEPTH = 20
MAX_ALIASES = 100
MAX_COST = 200_000
MAX_SELECTIONS = 300
"""In one selection set; more only serves to make validation slow."""
DEFAULT_PAGE = 20
LARGEST_PAGE = 100


@dataclass(frozen=True, slots=True)
class Shape:
    """What a selection set amounts to once its fragments are put in."""

    depth: int = 0
    aliases: int = 0
    cost: int = 0
    selections: int = 0


class _Measure:
    """Measures the selection sets of one document; the sums are capped, so that no number grows without bound."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._known: dict[str, Shape] = {}

    def of(self, selection_set: SelectionSetNode | None) -> Shape:
        if selection_set is None:
            return Shape()
        depth = aliases = cost = 0
        selections = len(selection_set.selections)
        for selection in selection_set.selections:
            part = self._selection(selection)
            depth = max(depth, part.depth)
            aliases = min(aliases + part.aliases, MAX_ALIASES + 1)
            cost = min(cost + part.cost, MAX_COST + 1)
            selections = max(selections, part.selections)
        return Shape(depth, aliases, cost, selections)

    def _selection(self, selection: object) -> Shape:
        if isinstance(selection, FieldNode):
            inner = self.of(selection.selection_set)
            aliases = inner.aliases + (selection.alias is not None)
            return Shape(inner.depth + 1, aliases, 1 + _page_size(selection) * inner.cost, inner.selections)
        if isinstance(selection, InlineFragmentNode):
            return self.of(selection.selection_set)
        if isinstance(selection, FragmentSpreadNode):
            return self._fragment(selection.name.value)
        return Shape()

    def _fragment(self, name: str) -> Shape:
        if name not in self._known:
            # A fragment that contains itself meets this entry; validation refuses it by its own rule.
            self._known[name] = Shape()
            fragment = self._fragments.get(name)
            self._known[name] = self.of(fragment.selection_set) if fragment else Shape()
        return self._known[name]


def _page_size(field: FieldNode) -> int:
    asked = 0
    for argument in field.arguments or ():
        if argument.name.value in {"first", "last"}:
            if isinstance(argument.value, IntValueNode):
                asked = max(asked, min(int(argument.value.value), LARGEST_PAGE))
            elif isinstance(argument.value, VariableNode):
                asked = LARGEST_PAGE
    if asked:
        return asked
    return DEFAULT_PAGE if _has_edges(field.selection_set) else 1


def _has_edges(selection_set: SelectionSetNode | None) -> bool:
    return selection_set is not None and any(
        isinstance(selection, FieldNode) and selection.name.value == "edges" for selection in selection_set.selections
    )


class QueryShape(ASTValidationRule):
    """Refuses operations that are deeper, wider or dearer than any client of ours needs."""

    def enter_document(self, document: DocumentNode, *_: Any) -> None:
        """Measure each operation; the first measure that is over is reported."""
        measure = _Measure(document)
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                self._check(measure.of(node.selection_set), node)

    def _check(self, shape: Shape, operation: OperationDefinitionNode) -> None:
        for what, value, limit in (
            ("levels of fields", shape.depth, MAX_DEPTH),
            ("aliases", shape.aliases, MAX_ALIASES),
            ("fields in one selection", shape.selections, MAX_SELECTIONS),
            ("fields to answer (each counted as often as pages can repeat it)", shape.cost, MAX_COST),
        ):
            if value > limit:
                message = f"The operation has more than {limit} {what}; ask for less at once."
                self.report_error(GraphQLError(message, [operation], extensions={"code": LIMIT_EXCEEDED}))
                return

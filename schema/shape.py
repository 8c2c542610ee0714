"""How big an operation is, measured before anything else runs, in time that follows the document's length.

Every fragment is measured once, after those that it spreads, so that a document of chained fragments costs what its
text costs, not what it would expand to; and nothing recurses through fragments, so that no chain exhausts the stack.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    IntValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    TokenKind,
    VariableNode,
)

from schema.exceeded import limit_exceeded
from schema.limits import DEFAULT_PAGE, LARGEST_PAGE, Limits

CEILING = 1_000_000_000
"""Sums stop here, so that no number grows without bound."""
ASKS_GITLAB = 10
"""What a field that asks GitLab costs; every other costs 1."""
GITLAB_FIELDS = frozenset({"issue", "issues", "geometries", "mergeRequest"})

INTROSPECTION = {"types": 60, "fields": 8, "enumValues": 2, "directives": 5}
"""How long introspection's lists are; the others have one or two entries."""

PageSizes = Mapping[str, int]
"""The values of those variables that are page sizes."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a selection set amounts to once its fragments are put in."""

    depth: int = 0
    aliases: int = 0
    fields: int = 0
    cost: int = 0


class Measure:
    """Measures the operations of one document."""

    def __init__(self, document: DocumentNode, sizes: PageSizes | None = None) -> None:
        self._document = document
        self._sizes = sizes or {}
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._known: dict[str, Shape] = {}
        self.circular = False
        """Whether a fragment contains itself: then only its acyclic part is measured."""
        self._order = self._used_first()
        for name in self._order:
            fragment = self._fragments[name]
            inside = fragment.type_condition.name.value.startswith("__")
            self._known[name] = self.of(fragment.selection_set, introspection=inside)

    def of(self, selection_set: SelectionSetNode | None, *, introspection: bool = False) -> Shape:
        """The shape of a selection set; recursion goes as deep as the text is nested, which the parser bounds."""
        depth = aliases = fields = cost = 0
        for selection in selection_set.selections if selection_set else ():
            part = self._selection(selection, introspection)
            depth = max(depth, part.depth)
            aliases = min(aliases + part.aliases, CEILING)
            fields = min(fields + part.fields, CEILING)
            cost = min(cost + part.cost, CEILING)
        return Shape(depth, aliases, fields, cost)

    def _selection(self, selection: SelectionNode, introspection: bool) -> Shape:
        if isinstance(selection, FragmentSpreadNode):
            # One that contains itself is not known yet.
            return self._known.get(selection.name.value, Shape())
        begins = isinstance(selection, FieldNode) and selection.name.value in {"__schema", "__type"}
        inner = self.of(getattr(selection, "selection_set", None), introspection=introspection or begins)
        if not isinstance(selection, FieldNode):
            return inner
        size = INTROSPECTION.get(selection.name.value, 1) if introspection else self._page_size(selection)
        own = ASKS_GITLAB if selection.name.value in GITLAB_FIELDS else 1
        return Shape(
            inner.depth + 1,
            inner.aliases + (selection.alias is not None),
            inner.fields + 1,
            own + size * inner.cost,
        )

    def _page_size(self, field: FieldNode) -> int:
        asked = [
            self._size(argument.value) for argument in field.arguments or () if argument.name.value in {"first", "last"}
        ]
        if asked:
            return max(asked)
        return DEFAULT_PAGE if _has_edges(field.selection_set) else 1

    def _size(self, value: object) -> int:
        size = LARGEST_PAGE
        if isinstance(value, IntValueNode):
            # Longer numbers are no page sizes, and turning them into numbers takes its time.
            size = int(value.value) if len(value.value) <= len(str(CEILING)) else LARGEST_PAGE
        elif isinstance(value, VariableNode):
            size = self._sizes.get(value.name.value, LARGEST_PAGE)
        return min(max(size, 1), LARGEST_PAGE)

    def overlaps(self, most: int) -> int:
        """How many pairs of fields stand for the same place of the answer; each pair must be compared.

        Stops counting above `most`; not to be asked of a circular document.
        """
        pairs = 0
        pending = [[root] for root in self._roots()]
        while pending and pairs <= most:
            same: dict[str, list[FieldNode]] = defaultdict(list)
            for field in self._fields(pending.pop()):
                same[(field.alias or field.name).value].append(field)
            for fields in same.values():
                pairs += len(fields) * (len(fields) - 1) // 2
                if inner := [field.selection_set for field in fields if field.selection_set]:
                    pending.append(inner)
        return pairs

    def _roots(self) -> Iterator[SelectionSetNode]:
        """The operations, and the fragments that none of them reaches."""
        reached: set[str] = set()
        for node in self._document.definitions:
            if isinstance(node, OperationDefinitionNode):
                yield node.selection_set
                self._reach(node.selection_set, reached)
        for name in reversed(self._order):
            if name not in reached:
                reached.add(name)
                yield self._fragments[name].selection_set
                self._reach(self._fragments[name].selection_set, reached)

    def _reach(self, selection_set: SelectionSetNode, reached: set[str]) -> None:
        pending = [selection_set]
        while pending:
            new = {name for name in _spreads(pending.pop()) if name in self._fragments and name not in reached}
            reached |= new
            pending.extend(self._fragments[name].selection_set for name in new)

    def _fields(self, sets: Iterable[SelectionSetNode]) -> Iterator[FieldNode]:
        """The fields of selection sets that are merged into one, each fragment put in once."""
        put_in: set[str] = set()
        pending: list[SelectionNode] = [selection for one in sets for selection in one.selections]
        while pending:
            selection = pending.pop()
            if isinstance(selection, FieldNode):
                yield selection
            elif not isinstance(selection, FragmentSpreadNode):
                pending.extend(_inner(selection))
            elif selection.name.value not in put_in and (found := self._fragments.get(selection.name.value)):
                put_in.add(selection.name.value)
                pending.extend(found.selection_set.selections)

    def _used_first(self) -> list[str]:
        """The fragments' names, each after those that it spreads."""
        order: list[str] = []
        seen: set[str] = set()
        under_way: set[str] = set()
        pending = [(name, False) for name in self._fragments]
        while pending:
            name, done = pending.pop()
            if done:
                order.append(name)
                under_way.discard(name)
            elif name in seen:
                self.circular |= name in under_way
            else:
                seen.add(name)
                under_way.add(name)
                pending.append((name, True))
                spreads = _spreads(self._fragments[name].selection_set)
                pending.extend((spread, False) for spread in spreads if spread in self._fragments)
        return order


def over_limits(document: DocumentNode, limits: Limits) -> GraphQLError | None:
    """What makes the document too big to be validated at all; the first measure that is over."""
    for limit, value, node in _measures(document, limits):
        allowed = getattr(limits, limit)
        if value > allowed:
            return limit_exceeded(limit, allowed=allowed, value=value, node=node)
    return None


def _measures(document: DocumentNode, limits: Limits) -> Iterator[tuple[str, int, OperationDefinitionNode | None]]:
    """The name of each limit with what is there: the cheap ones first, since the later rely on them."""
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    yield "operations", len(operations), None
    yield "fragments", len(document.definitions) - len(operations), None
    yield "directives", _directives(document), None
    measure = Measure(document)
    for operation in operations:
        shape = measure.of(operation.selection_set)
        yield "depth", shape.depth, operation
        yield "aliases", shape.aliases, operation
        yield "fields", shape.fields, operation
    if not measure.circular:
        yield "overlaps", measure.overlaps(limits.overlaps), None


def page_sizes(operation: OperationDefinitionNode, variables: Mapping[str, object]) -> PageSizes:
    """The whole numbers among an operation's variables, given or by default; an absent one means the default page."""
    sizes: dict[str, int] = {}
    for definition in operation.variable_definitions or ():
        name, default = definition.variable.name.value, definition.default_value
        value = variables.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            sizes[name] = min(max(value, 0), LARGEST_PAGE)
        elif value is None and name not in variables and isinstance(default, IntValueNode):
            sizes[name] = LARGEST_PAGE if len(default.value) > 3 else int(default.value)
        elif value is None:
            sizes[name] = DEFAULT_PAGE
    return sizes


def _spreads(selection_set: SelectionSetNode) -> Iterator[str]:
    pending: list[SelectionNode] = list(selection_set.selections)
    while pending:
        selection = pending.pop()
        if isinstance(selection, FragmentSpreadNode):
            yield selection.name.value
        else:
            pending.extend(_inner(selection))


def _inner(selection: SelectionNode) -> Sequence[SelectionNode]:
    selection_set: SelectionSetNode | None = getattr(selection, "selection_set", None)
    return selection_set.selections if selection_set else ()


def _directives(document: DocumentNode) -> int:
    token, found = document.loc.start_token if document.loc else None, 0
    while token is not None:
        found += token.kind is TokenKind.AT
        token = token.next
    return found


def _has_edges(selection_set: SelectionSetNode | None) -> bool:
    return selection_set is not None and any(
        isinstance(selection, FieldNode) and selection.name.value == "edges" for selection in selection_set.selections
    )

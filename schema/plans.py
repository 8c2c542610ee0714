"""Answers without graphql-core's steps for each field, where a field is plain: an attribute, or a method of `self` alone.

For every field of every object graphql-core looks up its definition and arguments, makes an `info` and a path, and asks
of its value whether it must be awaited. Of a plain field all of this is known from the document. So the plain parts of
a document are worked out once, as functions from an object to its part of the answer.

Such a function answers only what goes well. Whatever else there is, an error or null where there may be none, makes it
raise, and then graphql-core answers that field from its beginning: errors are never anybody's but its own.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from operator import attrgetter
from types import FunctionType
from typing import Any, TypeAlias, cast

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLString,
    OperationDefinitionNode,
    Undefined,
    is_leaf_type,
)
from graphql.execution.collect_fields import FieldDetails
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

Part: TypeAlias = Callable[[Any], Any]
"""From a value, or the object that has it, to what the answer says of it."""
Fields: TypeAlias = dict[str, list[FieldDetails]]

KEPT = 256
LONGEST_KEPT = 32_768
_INT_32 = 2**31
_TYPENAME = "__typename"


class _NotPlainError(Exception):
    """Here the answer is graphql-core's to give."""


@dataclass(slots=True)
class _Selection:
    """What is asked of one type of object: the plain fields, and the others."""

    names: tuple[str, ...]
    plain: tuple[tuple[str, Part], ...]
    others: Fields


@dataclass(slots=True)
class _Plans:
    """What is known of one operation, whatever its variables are."""

    operation: OperationDefinitionNode
    root: Fields | None = None
    sub_fields: dict[Any, Any] = field(default_factory=dict)
    """graphql-core's own memory of which fields are asked of which type."""
    selections: dict[int, _Selection] = field(default_factory=dict)
    """By the identity of the fields, which `root` and `sub_fields` keep alive."""


_known: dict[int, _Plans] = {}
"""By the identity of the operation, whose document is kept as long; the oldest goes first."""


class PlanningExecutor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor, which answers the plain fields of an object by what it has worked out before."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._plans = None if self._resolvers_are_wrapped() or self._fragments_vary() else _plans_of(self.operation)
        if self._plans is not None:
            self._relevant_sub_fields = self._plans.sub_fields

    def execute_collected_root_fields(
        self, root_type: GraphQLObjectType, root_value: Any, grouped_field_set: Any, *others: Any
    ) -> Any:
        """Begin, with the fields that are known already."""
        if self._plans is not None:
            if self._plans.root is None:
                self._plans.root = grouped_field_set
            grouped_field_set = self._plans.root
        return super().execute_collected_root_fields(root_type, root_value, grouped_field_set, *others)

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Any,
        grouped_field_set: Any,
        position_context: Any,
    ) -> Any:
        """The answers of an object's fields."""
        if self._plans is None:
            return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)
        selection = self._plans.selections.get(id(grouped_field_set))
        if selection is None:
            selection = self._plans.selections[id(grouped_field_set)] = self._selection(parent_type, grouped_field_set)
        answers: dict[str, Any] = {}
        others = selection.others
        for name, part in selection.plain:
            try:
                answers[name] = part(source_value)
            except Exception:  # noqa: BLE001 - whatever it is, graphql-core meets it again and tells it
                others = {**others, name: grouped_field_set[name]}
        if not others:
            return answers
        if len(others) > len(selection.others):
            # Errors are told in the order of the fields.
            others = {name: others[name] for name in selection.names if name in others}
        found = super().execute_fields(parent_type, source_value, path, others, position_context)
        if not answers:
            return found
        if self.is_awaitable(found):
            return _awaited(selection.names, answers, found)
        return _in_order(selection.names, answers, cast("dict[str, Any]", found))

    def _selection(self, parent_type: GraphQLObjectType, fields: Fields) -> _Selection:
        parts = {name: self._field(parent_type, details) for name, details in fields.items()}
        plain = tuple((name, part) for name, part in parts.items() if part is not None)
        return _Selection(tuple(fields), plain, {name: fields[name] for name, part in parts.items() if part is None})

    def _field(self, parent_type: GraphQLObjectType, details: list[FieldDetails]) -> Part | None:
        name = details[0].node.name.value
        if name == _TYPENAME:
            return lambda _: parent_type.name
        definition = self.schema.get_field(parent_type, name)
        if definition is None:
            return None
        get = _getter(definition)
        shown = None if get is None else self._value(definition.type, details)
        if get is None or shown is None:
            return None
        return lambda source: shown(get(source))

    def _value(self, kind: GraphQLOutputType, details: list[FieldDetails]) -> Part | None:
        match kind:
            case GraphQLNonNull():
                return _non_null(self._value(kind.of_type, details))
            case GraphQLList():
                return _list(self._value(kind.of_type, details))
            case GraphQLObjectType():
                return self._object(kind, details)
        # Which type an interface's object has, graphql-core finds out.
        return self._leaf(kind) if is_leaf_type(kind) else None

    def _object(self, kind: GraphQLObjectType, details: list[FieldDetails]) -> Part | None:
        fields = self.collect_subfields(kind, details).grouped_field_set
        parts = [(name, self._field(kind, asked)) for name, asked in fields.items()]
        known = [(name, part) for name, part in parts if part is not None]
        if len(known) < len(parts) or all(asked[0].node.name.value == _TYPENAME for _, asked in fields.items()):
            return None
        is_of_type: Callable[[Any, Any], Any] | None = kind.is_type_of

        def shown(value: Any) -> dict[str, Any] | None:
            if value is None:
                return None
            if isinstance(value, Exception) or (is_of_type is not None and is_of_type(value, None) is not True):
                raise _NotPlainError
            return {name: part(value) for name, part in known}

        return shown

    def _leaf(self, kind: GraphQLLeafType) -> Part:
        is_awaitable, coerce = self.is_awaitable, kind.coerce_output_value

        def shown(value: Any) -> Any:
            if value is None:
                return None
            if isinstance(value, Exception) or is_awaitable(value):
                raise _NotPlainError
            answer = coerce(value)
            if answer is None or answer is Undefined:
                raise _NotPlainError
            return answer

        if isinstance(kind, GraphQLEnumType):
            return _remembered(shown)
        quick = _QUICK.get(kind.name) if kind in _BUILT_IN else None
        return shown if quick is None else quick(shown)

    def _resolvers_are_wrapped(self) -> bool:
        return bool(self.middleware_manager and self.middleware_manager.middlewares)

    def _fragments_vary(self) -> bool:
        return any(fragment.variable_signatures for fragment in self.fragments.values())


def _plans_of(operation: OperationDefinitionNode) -> _Plans | None:
    """None for an operation whose fields go by its variables, and for one whose document is too long to be kept."""
    known = _known.get(id(operation))
    if known is not None:
        return known
    place = operation.loc
    if place is None or len(place.source.body) > LONGEST_KEPT:
        return None
    if "@" in place.source.body:
        # Most likely a directive, which may leave fields out by a variable.
        return None
    while len(_known) >= KEPT:
        del _known[next(iter(_known))]
    plans = _known[id(operation)] = _Plans(operation)
    return plans


def _getter(definition: GraphQLField) -> Part | None:
    """What takes a field's value from its object, where nothing else is needed."""
    known = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    if not isinstance(known, StrawberryField) or definition.args or known.extensions:
        return None
    resolver = known.base_resolver
    if resolver is None:
        return attrgetter(known.python_name) if known.default_resolver is getattr else None
    method = resolver.wrapped_func
    others = (resolver.info_parameter, resolver.parent_parameter, resolver.root_parameter)
    of_itself = resolver.self_parameter is not None and not any(others) and not resolver.arguments
    return method if of_itself and not resolver.is_async and isinstance(method, FunctionType) else None


def _non_null(inner: Part | None) -> Part | None:
    if inner is None:
        return None

    def shown(value: Any) -> Any:
        answer = inner(value)
        if answer is None:
            raise _NotPlainError
        return answer

    return shown


def _list(inner: Part | None) -> Part | None:
    if inner is None:
        return None

    def shown(value: Any) -> list[Any] | None:
        if value is None:
            return None
        if not isinstance(value, list | tuple):
            raise _NotPlainError
        return [inner(item) for item in value]

    return shown


def _remembered(shown: Part) -> Part:
    """Of an enum's members, of which there are few."""
    names: dict[Enum, Any] = {}

    def quick(value: Any) -> Any:
        if not isinstance(value, Enum):
            return shown(value)
        name = names.get(value)
        if name is None:
            name = names[value] = shown(value)
        return name

    return quick


def _text(shown: Part) -> Part:
    return lambda value: value if type(value) is str else shown(value)


def _int(shown: Part) -> Part:
    return lambda value: value if type(value) is int and -_INT_32 <= value < _INT_32 else shown(value)


def _float(shown: Part) -> Part:
    return lambda value: value if type(value) is float and math.isfinite(value) else shown(value)


def _boolean(shown: Part) -> Part:
    return lambda value: value if type(value) is bool else shown(value)


_BUILT_IN = (GraphQLString, GraphQLID, GraphQLInt, GraphQLFloat, GraphQLBoolean)
_QUICK: Mapping[str, Callable[[Part], Part]] = {
    "String": _text,
    "ID": _text,
    "Int": _int,
    "Float": _float,
    "Boolean": _boolean,
}
"""What needs no conversion is shown as it is."""


def _in_order(names: Sequence[str], answers: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    both = answers | found
    return {name: both[name] for name in names if name in both}


async def _awaited(names: Sequence[str], answers: dict[str, Any], found: Any) -> dict[str, Any]:
    return _in_order(names, answers, await found)

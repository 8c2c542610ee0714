"""Whether one GraphQL schema offers at least what another promises."""

from collections.abc import Iterator

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    is_introspection_type,
    is_specified_scalar_type,
)
from graphql.type import GraphQLInputField


def missing_promises(offered: GraphQLSchema, promised: GraphQLSchema) -> list[str]:
    """What the promised schema has and the offered one lacks or has otherwise; empty: all promises are kept."""
    return [
        text
        for name, type_ in promised.type_map.items()
        if not is_introspection_type(type_) and not is_specified_scalar_type(type_)
        for text in _type(name, offered.type_map.get(name), type_)
    ]


def _type(name: str, offered: GraphQLNamedType | None, promised: GraphQLNamedType) -> Iterator[str]:
    if offered is None or type(offered) is not type(promised):
        yield f"{name} is {offered!r}, not {promised!r}"
        return
    if isinstance(promised, GraphQLEnumType) and isinstance(offered, GraphQLEnumType):
        yield from (f"{name}.{value} is missing" for value in promised.values if value not in offered.values)
    elif isinstance(promised, GraphQLInputObjectType) and isinstance(offered, GraphQLInputObjectType):
        yield from _values(name, offered.fields, promised.fields)
    elif isinstance(promised, GraphQLObjectType | GraphQLInterfaceType) and isinstance(
        offered, GraphQLObjectType | GraphQLInterfaceType
    ):
        yield from _output(name, offered, promised)


def _output(
    name: str,
    offered: GraphQLObjectType | GraphQLInterfaceType,
    promised: GraphQLObjectType | GraphQLInterfaceType,
) -> Iterator[str]:
    names = {interface.name for interface in offered.interfaces}
    yield from (f"{name} does not implement {i.name}" for i in promised.interfaces if i.name not in names)
    for field_name, field in promised.fields.items():
        yield from _field(f"{name}.{field_name}", offered.fields.get(field_name), field)


def _field(path: str, offered: GraphQLField | None, promised: GraphQLField) -> Iterator[str]:
    if offered is None or str(offered.type) != str(promised.type):
        yield f"{path} is {offered and offered.type}, not {promised.type}"
        return
    yield from _values(path, offered.args, promised.args)


def _values(
    path: str,
    offered: dict[str, GraphQLArgument] | dict[str, GraphQLInputField],
    promised: dict[str, GraphQLArgument] | dict[str, GraphQLInputField],
) -> Iterator[str]:
    for name, value in promised.items():
        given = offered.get(name)
        if given is None or str(given.type) != str(value.type):
            yield f"{path}({name}) is {given and given.type}, not {value.type}"
        elif value.default_value is not Undefined and given.default_value != value.default_value:
            yield f"{path}({name}) defaults to {given.default_value!r}, not {value.default_value!r}"
    for name, given in offered.items():
        if name not in promised and isinstance(given.type, GraphQLNonNull) and given.default_value is Undefined:
            yield f"{path}({name}) is required, which breaks clients written before it"

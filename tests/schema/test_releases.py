"""A client that was generated from the last release's SDL goes on working: nothing that it can use changes under it.

`schema/released.graphql` is the SDL of the last release, written by whoever releases (CONTRIBUTING, *Releasing*). What
counts as breaking is graphql-core's list. A field goes away in two releases: deprecated in one, with the reason naming
what to use instead, removed in a later one.
"""

from pathlib import Path

import pytest
from graphql import (
    GraphQLSchema,
    build_schema,
    find_breaking_changes,
    is_enum_type,
    is_input_object_type,
    is_interface_type,
    is_object_type,
)

import schema

HERE = Path(schema.__file__).parent


def broken(before: GraphQLSchema, now: GraphQLSchema) -> list[str]:
    """What a client of `before` could miss in `now`, in words; the removal of something deprecated is none."""
    announced = {f"{name} was removed." for name in _deprecated(before)}
    return [found.description for found in find_breaking_changes(before, now) if found.description not in announced]


def _deprecated(given: GraphQLSchema) -> dict[str, str]:
    """The reason for each, by its name as graphql-core writes it: "Field Saga.colour", "Enum value Status.GONE"."""
    reasons: dict[str, str | None] = {}
    for type_ in given.type_map.values():
        if is_object_type(type_) or is_interface_type(type_) or is_input_object_type(type_):
            reasons |= {f"Field {type_.name}.{name}": field.deprecation_reason for name, field in type_.fields.items()}
        elif is_enum_type(type_):
            reasons |= {
                f"Enum value {type_.name}.{name}": value.deprecation_reason for name, value in type_.values.items()
            }
    return {name: reason for name, reason in reasons.items() if reason is not None}


def test_nothing_that_the_last_release_promised_is_broken() -> None:
    before = build_schema((HERE / "released.graphql").read_text(encoding="utf-8"))
    now = build_schema((HERE / "schema.graphql").read_text(encoding="utf-8"))
    assert broken(before, now) == []


def test_whatever_is_deprecated_says_what_to_use_instead() -> None:
    now = build_schema((HERE / "schema.graphql").read_text(encoding="utf-8"))
    assert [name for name, reason in _deprecated(now).items() if "use " not in reason.lower()] == []


BEFORE = """
type Query { saga(id: ID!, soon: Boolean): Saga old: String @deprecated(reason: "Use saga.") }
type Saga { id: ID! colour: String! }
enum Status { RUNNING GONE @deprecated(reason: "Use RUNNING.") }
input Filter { mine: Boolean }
"""


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        pytest.param("colour: String!", "", id="a field removed"),
        pytest.param("colour: String!", "colour: String", id="a value that may be null now"),
        pytest.param("colour: String!", "colour: Int!", id="another type"),
        pytest.param("soon: Boolean", "", id="an argument removed"),
        pytest.param("soon: Boolean", "soon: Boolean!", id="an argument required"),
        pytest.param("RUNNING", "", id="an enum value removed"),
        pytest.param("mine: Boolean", "mine: Boolean all: Boolean!", id="one more required input"),
    ],
)
def test_a_break_would_be_noticed(was: str, becomes: str) -> None:
    assert broken(build_schema(BEFORE), build_schema(BEFORE.replace(was, becomes, 1)))


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        pytest.param('old: String @deprecated(reason: "Use saga.")', "", id="a deprecated field removed"),
        pytest.param('GONE @deprecated(reason: "Use RUNNING.")', "", id="a deprecated enum value removed"),
        pytest.param("colour: String!", "colour: String! shade: String", id="a field more"),
        pytest.param("mine: Boolean", "mine: Boolean all: Boolean", id="one more optional input"),
    ],
)
def test_what_breaks_nobody_is_let_through(was: str, becomes: str) -> None:
    assert broken(build_schema(BEFORE), build_schema(BEFORE.replace(was, becomes, 1))) == []

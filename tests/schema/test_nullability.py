"""Names and nullability, as docs/api.md promises them to whoever generates code from the schema."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    build_schema,
    get_named_type,
    is_list_type,
    is_non_null_type,
)

import schema

SCHEMA = build_schema((Path(schema.__file__).parent / "schema.graphql").read_text(encoding="utf-8"))
OBJECTS = {
    name: type_
    for name, type_ in SCHEMA.type_map.items()
    if isinstance(type_, GraphQLObjectType) and not name.startswith("__")
}


def fields() -> Iterator[tuple[str, GraphQLField]]:
    for name, type_ in OBJECTS.items():
        for field, defined in type_.fields.items():
            yield f"{name}.{field}", defined


def test_a_field_that_may_be_null_says_when() -> None:
    silent = [
        name
        for name, field in fields()
        if not is_non_null_type(field.type) and not re.search(r"\bnull\b", field.description or "", re.IGNORECASE)
    ]
    assert silent == []


def test_a_list_has_no_nulls_in_it() -> None:
    for name, field in fields():
        type_ = field.type.of_type if is_non_null_type(field.type) else field.type
        if is_list_type(type_):
            assert is_non_null_type(type_.of_type), name


def test_ids_and_times_carry_their_own_types() -> None:
    for name, field in fields():
        own = name.rpartition(".")[2]
        if own == "id" and "Node" in {i.name for i in OBJECTS[name.partition(".")[0]].interfaces}:
            assert str(field.type) == "ID!", name
        if own.endswith("At"):
            assert get_named_type(field.type).name == "DateTime", name


def test_a_page_is_whole_down_to_its_nodes() -> None:
    for name, type_ in OBJECTS.items():
        if name.endswith("Connection"):
            node = name.removesuffix("Connection")
            assert str(type_.fields["edges"].type) == f"[{node}Edge!]!", name
            assert str(type_.fields["pageInfo"].type) == "PageInfo!", name
            assert str(OBJECTS[f"{node}Edge"].fields["node"].type) == f"{node}!", name
            assert str(OBJECTS[f"{node}Edge"].fields["cursor"].type) == "String!", name


@pytest.mark.parametrize("name", sorted(SCHEMA.mutation_type.fields if SCHEMA.mutation_type else ()))
def test_a_mutation_takes_one_input_and_answers_its_errors_beside_what_it_did(name: str) -> None:
    assert SCHEMA.mutation_type is not None
    mutation = SCHEMA.mutation_type.fields[name]
    capital = name[0].upper() + name[1:]
    (argument,) = mutation.args.items()
    assert argument[0] == "input"
    assert str(argument[1].type) in {f"{capital}Input!", "SagaActionInput!"}
    assert is_non_null_type(mutation.type), "what fails in a mutation is told in its payload"
    payload = OBJECTS[get_named_type(mutation.type).name]
    assert payload.name.endswith("Payload")
    assert str(payload.fields["userErrors"].type) == "[UserError!]!"
    done = [field for field in payload.fields if field not in {"userErrors", "created"}]
    assert len(done) == 1
    assert not is_non_null_type(payload.fields[done[0]].type), "null where it was refused"


def test_names_are_written_as_graphql_writes_them() -> None:
    for name, type_ in SCHEMA.type_map.items():
        if name.startswith("__"):
            continue
        assert re.fullmatch(r"[A-Z][A-Za-z]*", name), name
        if isinstance(type_, GraphQLEnumType):
            assert all(re.fullmatch(r"[A-Z][A-Z_]*", value) for value in type_.values), name
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            assert all(re.fullmatch(r"[a-z][A-Za-z]*", field) for field in type_.fields), name

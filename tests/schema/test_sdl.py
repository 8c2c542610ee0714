from pathlib import Path

from graphql import GraphQLNamedType, GraphQLSchema, build_schema, is_introspection_type, is_specified_scalar_type

import schema
from schema.root import schema as api
from tests.schema.containment import missing_promises

HERE = Path(schema.__file__).parent
OFFERED = build_schema(api.as_str())


def test_the_committed_sdl_is_the_schemas() -> None:
    committed = (HERE / "schema.graphql").read_text(encoding="utf-8")
    assert committed == api.as_str() + "\n", "write it anew: `orchestrator schema > schema/schema.graphql`"


def test_the_schema_keeps_every_promise_of_the_core_contract() -> None:
    core = build_schema((HERE / "core.graphql").read_text(encoding="utf-8"))
    assert missing_promises(OFFERED, core) == []


def test_a_broken_promise_would_be_noticed() -> None:
    promised = build_schema(
        """
        interface Node { id: ID! }
        type Query { saga(id: ID!, soon: Boolean = true): Saga! viewer: String }
        type Saga implements Node { id: ID! colour: String }
        enum SagaStatus { RUNNING DREAMING }
        input SagaFilter { mine: Boolean! }
        scalar Missing
        """
    )
    found = "\n".join(missing_promises(OFFERED, promised))
    for what in ("Query.saga", "Query.viewer", "Saga.colour", "SagaStatus.DREAMING", "SagaFilter(mine)", "Missing"):
        assert what in found


def test_every_type_field_and_argument_is_described() -> None:
    assert list(_undescribed(OFFERED)) == []


def _undescribed(given: GraphQLSchema) -> list[str]:
    missing = []
    for name, type_ in given.type_map.items():
        if is_introspection_type(type_) or is_specified_scalar_type(type_):
            continue
        if not type_.description:
            missing.append(name)
        missing.extend(_undescribed_fields(name, type_))
    return missing


def _undescribed_fields(name: str, type_: GraphQLNamedType) -> list[str]:
    missing = []
    for field_name, field in getattr(type_, "fields", {}).items():
        if not field.description:
            missing.append(f"{name}.{field_name}")
        missing.extend(
            f"{name}.{field_name}({argument})"
            for argument, given in getattr(field, "args", {}).items()
            if not given.description
        )
    return missing

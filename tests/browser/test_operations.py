"""The operations that GraphiQL offers on a first visit, held to the schema without a browser."""

import json
from pathlib import Path

import pytest
from graphql import OperationDefinitionNode, build_schema, parse, validate
from graphql.execution.values import get_variable_values

from app import explorer

ROOT = Path(explorer.__file__).resolve().parent.parent
OPERATIONS = sorted((ROOT / "app/graphiql_source/src/operations").glob("*.graphql"))
SCHEMA = build_schema((ROOT / "schema/schema.graphql").read_text(encoding="utf-8"))


def test_the_tabs_cover_the_way_from_issue_to_merge_request() -> None:
    assert [path.stem for path in OPERATIONS] == ["advance", "look", "merge", "start", "watch"]


@pytest.mark.parametrize("path", OPERATIONS, ids=lambda path: path.stem)
def test_each_offered_operation_and_its_variables_fit_the_schema(path: Path) -> None:
    document = parse(path.read_text(encoding="utf-8"))
    assert validate(SCHEMA, document) == []
    beside = path.with_suffix(".json")
    variables = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
    for definition in document.definitions:
        assert isinstance(definition, OperationDefinitionNode)
        coerced = get_variable_values(SCHEMA, definition.variable_definitions or (), variables)
        assert not isinstance(coerced, list), coerced

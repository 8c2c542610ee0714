"""The schema as graphql-eslint wants schemas; `eslint.config.mjs` says which rules, and why some are eased."""

from pathlib import Path

from tests.npm.needs import NODE
from tests.npm.node import run

ROOT = Path(__file__).parents[2]

pytestmark = NODE


async def test_the_schema_is_clean_under_graphql_eslints_rules() -> None:
    applied, *findings = await run("schema_lint.mjs", root=str(ROOT), schema="schema/schema.graphql")
    assert len(applied["rules"]) > 20
    assert findings == []


async def test_the_rules_find_what_they_are_for(tmp_path: Path) -> None:
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.graphql").write_text(
        '"Q." type Query { "One." a_b: Int two: Int "Three." three: Int @deprecated } "B." type B { "Id." id: ID! }'
    )
    _, *findings = await run("schema_lint.mjs", root=str(tmp_path), schema="schema/schema.graphql")
    assert {finding["rule"].removeprefix("@graphql-eslint/") for finding in findings} >= {
        "naming-convention",
        "require-description",
        "require-deprecation-reason",
        "no-unreachable-types",
    }

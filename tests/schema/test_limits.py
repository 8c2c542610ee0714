import time

import pytest
from graphql import GraphQLError, build_schema, parse, validate

from schema.limits import MAX_ALIASES, MAX_DEPTH, MAX_SELECTIONS, QueryShape

SCHEMA = build_schema(
    """
    type Query { node: Node, list(first: Int, last: Int): Connection, many: [Node] }
    type Node { id: ID, node: Node, list(first: Int, last: Int): Connection }
    type Connection { edges: [Edge] }
    type Edge { node: Node }
    """
)


def refusals(document: str) -> list[GraphQLError]:
    return validate(SCHEMA, parse(document), [QueryShape])


def nested(depth: int) -> str:
    return "{" + "node{" * (depth - 1) + "id" + "}" * depth


def test_an_operation_within_the_limits_passes() -> None:
    assert refusals("{ list(first: 100) { edges { node { id list(first: 100) { edges { node { id } } } } } } }") == []
    assert refusals(nested(MAX_DEPTH)) == []


@pytest.mark.parametrize(
    ("document", "what"),
    [
        (nested(MAX_DEPTH + 1), "levels"),
        ("{" + " ".join(f"a{i}: node {{ id }}" for i in range(MAX_ALIASES + 1)) + "}", "aliases"),
        ("{" + " ".join(["node"] * (MAX_SELECTIONS + 1)) + "}", "one selection"),
        (
            "{list(first:100){edges{node{list(first:100){edges{node{list(first:100){edges{node{id}}}}}}}}}}",
            "fields to answer",
        ),
        (
            "query($n: Int) {list(first:$n){edges{node{list(last:$n){edges{node{list(first:$n){edges{node{id}}}}}}}}}}",
            "fields to answer",
        ),
    ],
)
def test_an_operation_over_a_limit_is_refused_and_the_limit_named(document: str, what: str) -> None:
    (refusal,) = refusals(document)
    assert refusal.extensions == {"code": "LIMIT_EXCEEDED"}
    assert what in refusal.message


def test_fragments_count_as_what_they_put_in() -> None:
    deep = "fragment f on Node { node { node { node { node { node { id } } } } } }"
    (refusal,) = refusals("{ " + "node { " * (MAX_DEPTH - 4) + "...f" + " }" * (MAX_DEPTH - 4) + " } " + deep)
    assert "levels" in refusal.message


def test_measuring_a_chain_of_fragments_takes_time_in_its_length_only() -> None:
    chain = " ".join(f"fragment f{i} on Node {{ ...f{i - 1} ...f{i - 1} }}" for i in range(1, 400))
    document = parse("{ node { ...f399 } } fragment f0 on Node { id } " + chain)
    began = time.perf_counter()
    validate(SCHEMA, document, [QueryShape])
    assert time.perf_counter() - began < 1


def test_a_fragment_that_contains_itself_ends_the_walk() -> None:
    assert refusals("{ node { ...f } } fragment f on Node { node { ...f } }") == []

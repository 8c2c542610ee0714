"""Whatever is too big is refused by its document alone, before any of it is validated or run."""

from typing import Any

import pytest
from graphql import GraphQLError, build_schema, get_introspection_query, get_operation_ast, parse, validate

from schema.documents import _judge, cost_of
from schema.limits import SHIPPED
from schema.root import graphql_schema
from schema.shape import CEILING, Measure, over_limits

ALLOWED = SHIPPED
SCHEMA = build_schema(
    """
    type Query { node: Node, list(first: Int, last: Int): Connection, many: [Node] }
    type Node { id: ID, node: Node, list(first: Int, last: Int): Connection }
    type Connection { edges: [Edge] }
    type Edge { node: Node }
    """
)
BRANCHING = " ".join(
    f"fragment f{i} on Node {{ a: node {{ ...f{i - 1} }} b: node {{ ...f{i - 1} }} }}" for i in range(1, 19)
)
CHAIN = " ".join(f"fragment f{i} on Node {{ ...f{i - 1} ...f{i - 1} }}" for i in range(1, 20))
"""The famous one: 815 bytes that double with each fragment for whoever puts them in."""


def refusal(document: str) -> GraphQLError | None:
    return over_limits(parse(document), ALLOWED)


def nested(depth: int) -> str:
    return "{" + "node{" * (depth - 1) + "id" + "}" * depth


def test_an_operation_within_the_limits_passes() -> None:
    assert refusal("{ list(first: 100) { edges { node { id list(first: 100) { edges { node { id } } } } } } }") is None
    assert refusal(nested(ALLOWED.depth)) is None
    assert refusal(get_introspection_query(input_value_deprecation=True)) is None
    assert validate(SCHEMA, parse(nested(ALLOWED.depth))) == []


HOSTILE = [
    (nested(ALLOWED.depth + 1), "depth", ALLOWED.depth + 1),
    ("{" + " ".join(f"a{i}: node {{ id }}" for i in range(1500)) + "}", "aliases", 1500),
    ("{" + "a: id " * 1500 + "}", "aliases", 1500),
    ("{" + "id " * 1500 + "}", "overlaps", 1500 * 1499 // 2),
    ("{" + ("node {" + " id" * 60 + "} ") * 60 + "}", "overlaps", None),
    (
        "{ ...a ...b } " + " ".join(f"fragment {name} on Query {{ {'node { id } ' * 200} }}" for name in "ab"),
        "overlaps",
        None,
    ),
    ("{ node { id } } fragment unused on Query {" + " node" * 1500 + "}", "overlaps", 1500 * 1499 // 2),
    ("{ node { id " + "@include(if: true) " * 800 + "} }", "directives", 800),
    (" ".join(f"query q{i} {{ node {{ id }} }}" for i in range(20_000)), "operations", 20_000),
    ("{ id } " + " ".join(f"fragment f{i} on Node {{ id }}" for i in range(300)), "fragments", 300),
    (f"{{ node {{ ...f18 }} }} fragment f0 on Node {{ id }} {BRANCHING}", "aliases", None),
    (
        f"{{ node {{ ...f18 }} }} fragment f0 on Node {{ id }} {BRANCHING.replace('a:', '').replace('b:', '')}",
        "fields",
        None,
    ),
]


@pytest.mark.parametrize(
    ("document", "limit", "value"), HOSTILE, ids=[f"{n}-{case[1]}" for n, case in enumerate(HOSTILE)]
)
def test_an_operation_over_a_limit_is_refused_and_says_which_what_is_allowed_and_what_was_found(
    document: str, limit: str, value: int | None
) -> None:
    refused = refusal(document)
    assert refused is not None
    extensions: dict[str, Any] = refused.extensions or {}
    allowed = getattr(ALLOWED, limit)
    assert (extensions["code"], extensions["limit"], extensions["allowed"]) == ("LIMIT_EXCEEDED", limit, allowed)
    assert allowed < extensions["value"] <= CEILING
    assert str(allowed) in refused.message
    assert str(extensions["value"]) in refused.message
    if value is not None:
        assert extensions["value"] == value


class CountedMeasure(Measure):
    """Counts the selection sets that it measures."""

    steps = 0

    def of(self, selection_set: Any, *, introspection: bool = False) -> Any:
        type(self).steps += 1
        return super().of(selection_set, introspection=introspection)


@pytest.mark.parametrize("fragments", [CHAIN, BRANCHING], ids=["chain", "branching"])
def test_measuring_fragments_takes_steps_in_the_documents_length_only(fragments: str) -> None:
    document = parse(f"{{ node {{ ...f18 }} }} fragment f0 on Node {{ id }} {fragments}")
    CountedMeasure.steps = 0
    measure = CountedMeasure(document)
    measure.of(document.definitions[0].selection_set)  # type: ignore[attr-defined]  # the operation
    sets = fragments.count("{") + 3
    # Each set once, and once more each field without one of its own.
    assert CountedMeasure.steps <= 2 * sets


def test_a_chain_of_fragments_longer_than_the_stack_is_measured() -> None:
    links = " ".join(f"fragment f{i} on Node {{ ...f{i - 1} }}" for i in range(1, 5000))
    document = parse(f"{{ node {{ ...f4999 }} }} fragment f0 on Node {{ id }} {links}")
    assert Measure(document).of(document.definitions[0].selection_set).depth == 2  # type: ignore[attr-defined]  # an operation has one


def test_fragments_count_as_what_they_put_in() -> None:
    deep = "fragment f on Node { node { node { node { node { node { id } } } } } }"
    above = ALLOWED.depth - 4
    refused = refusal("{ " + "node { " * above + "...f" + " }" * above + " } " + deep)
    assert refused is not None
    assert (refused.extensions or {})["limit"] == "depth"


def test_a_fragment_that_contains_itself_ends_the_walk() -> None:
    document = "{ node { ...f } } fragment f on Node { node { ...g } } fragment g on Node { node { ...f } }"
    assert refusal(document) is None
    assert validate(SCHEMA, parse(document))


def test_a_document_whose_fragments_contain_themselves_is_refused_for_that_and_for_nothing_dearer() -> None:
    circle = "fragment f on Query { viewer { id } ...g } fragment g on Query { ...f }"
    errors = _judge(graphql_schema, parse("{ ...f " + "nothing " * 300 + "}" + circle), ALLOWED)
    assert [error.message for error in errors] == ["Cannot spread fragment 'f' within itself via 'g'."]


def test_a_diamond_of_fragments_is_no_circle() -> None:
    diamond = "fragment t on Node { ...l ...r } fragment l on Node { ...b } fragment r on Node { ...b } fragment b on Node { id }"
    assert not Measure(parse("{ node { ...t ...b } } " + diamond)).circular


def test_introspection_costs_what_it_may_answer() -> None:
    """What every client asks is far below the limit; what asks it again and again at each place is above."""
    inner = " ".join(f"i{place}: fields {{ name type {{ name }} }}" for place in range(24))
    outer = " ".join(f"o{place}: fields {{ type {{ name ...Inner }} }}" for place in range(3))
    repeated = parse(f"{{ __schema {{ types {{ {outer} }} }} }} fragment Inner on __Type {{ {inner} }}")
    usual = parse(get_introspection_query())
    costs = []
    for document in (usual, repeated):
        operation = get_operation_ast(document)
        assert operation is not None
        costs.append(cost_of(document, operation, {}))
    assert 10_000 < costs[0] < SHIPPED.cost / 4
    assert costs[1] > SHIPPED.cost
    field = get_operation_ast(parse("{ types { fields { a } } }"))
    assert field is not None
    assert cost_of(parse("{ types { fields { a } } }"), field, {}) == 3, "names of ours are no introspection"

"""Whatever is asked, and whatever goes wrong: the planned executor answers as graphql-core's own, to the letter."""

import asyncio
import inspect
import math
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any

import hypothesis
import hypothesis_graphql
import pytest
import strawberry
from graphql import DocumentNode, execute, parse, validate
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from schema import plans
from schema.documents import schema_of
from schema.plans import PlanningExecutor
from schema.root import graphql_schema
from schema.scalars import SCALARS


@strawberry.enum
class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Other(Enum):
    RED = "red"


@strawberry.interface
class Named:
    name: str

    @strawberry.field
    def shout(self) -> str:
        return self.name.upper()


@strawberry.type
class Leaf(Named):
    """Attributes of every kind, some of which hold what they must not."""

    number: int
    maybe: int | None
    ratio: float
    flag: bool
    colour: Colour
    moment: datetime
    document: JSON
    words: list[str]
    grid: list[list[int | None]] | None
    key: strawberry.ID

    @strawberry.field
    def doubled(self) -> int:
        return self.number * 2

    @strawberry.field
    def broken(self) -> str | None:
        raise ValueError(f"{self.name} is broken")

    @strawberry.field
    def broken_for_all(self) -> str:
        raise ValueError(f"{self.name} breaks what it is in")

    @strawberry.field
    async def later(self) -> int:
        await asyncio.sleep(0)
        return self.number

    @strawberry.field
    async def broken_later(self) -> int:
        await asyncio.sleep(0)
        raise ValueError(f"{self.name} breaks later")

    @strawberry.field
    def times(self, factor: int = 3) -> int:
        return self.number * factor

    @strawberry.field
    def place(self, info: strawberry.Info) -> str:
        return str(info.path.as_list())


@strawberry.type
class Twig(Named):
    leaf: Leaf
    perhaps: Leaf | None
    leaves: list[Leaf]
    some: list[Leaf | None] | None

    @strawberry.field
    def first(self) -> Leaf | None:
        return self.leaves[0] if self.leaves else None

    @strawberry.field
    async def awaited(self) -> list[Leaf]:
        return self.leaves

    @strawberry.field
    def either(self) -> Annotated[Leaf | Annotated["Twig", strawberry.lazy(__name__)], strawberry.union("Either")]:
        return self.leaf

    @strawberry.field
    def named(self) -> Named:
        return self.leaf


def leaf(name: str, **held: Any) -> Leaf:
    usual: dict[str, Any] = {
        "number": 7,
        "maybe": None,
        "ratio": 0.5,
        "flag": True,
        "colour": Colour.RED,
        "moment": datetime(2026, 11, 27, tzinfo=UTC),
        "document": {"a": [1, None]},
        "words": ["x", "y"],
        "grid": [[1, None], []],
        "key": strawberry.ID("k"),
    }
    return Leaf(name=name, **usual | held)


ODD: tuple[dict[str, Any], ...] = (
    {},
    {"number": 2**31, "maybe": -(2**31), "ratio": 1, "flag": 1},
    {"number": None, "grid": None, "words": ("x",)},
    {"number": "7", "maybe": "seven", "colour": "blue", "key": 5},
    {"number": True, "ratio": math.nan, "colour": Other.RED},
    {"maybe": ValueError("held"), "words": ["x", None]},
    {"moment": datetime(2026, 11, 27), "words": "xy"},  # noqa: DTZ001 - which is what it must refuse
    {"document": None, "words": None, "colour": "green"},
    {"document": ValueError("held"), "key": ValueError("held"), "flag": None},
    {"grid": [[1], None, ["x"]], "words": {"x": 1}.keys()},
    {"ratio": math.inf, "maybe": 1.0, "key": None},
)
"""What a leaf may hold, beside the usual."""


def twig(name: str) -> Twig:
    whole = [leaf(f"{name}{place}", **held) for place, held in enumerate(ODD)]
    holed: list[Any] = [whole[0], None, ValueError("an item"), whole[5]]
    return Twig(name=name, leaf=whole[0], perhaps=None, leaves=whole[:2], some=holed)


@strawberry.type
class Query:
    @strawberry.field
    def twig(self) -> Twig:
        return twig("t")

    @strawberry.field
    async def twigs(self) -> list[Twig | None]:
        return [twig("a"), None, twig("b")]

    @strawberry.field
    def leaf(self, which: int = 0) -> Leaf | None:
        return leaf("l", **ODD[which % len(ODD)])

    @strawberry.field
    def odd(self) -> list[Leaf | None]:
        return [leaf(f"o{place}", **held) for place, held in enumerate(ODD)]

    @strawberry.field
    def wrong(self) -> Leaf | None:
        return "no leaf"  # type: ignore[return-value]  # which is what it is about

    @strawberry.field
    def number(self) -> int:
        return 1


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def grow(self) -> Twig:
        return twig("grown")

    @strawberry.mutation
    def wither(self) -> list[Leaf]:
        return [leaf("w", **held) for held in ODD[:3]]


SCHEMA = schema_of(
    strawberry.Schema(
        query=Query,
        mutation=Mutation,
        types=[Leaf, Twig],
        config=StrawberryConfig(scalar_map=SCALARS, sort_schema=True),
    )
)
SDL = strawberry.Schema(query=Query, mutation=Mutation, config=StrawberryConfig(scalar_map=SCALARS)).as_str()
LEAF = "__typename name shout number maybe ratio flag colour moment document words grid key doubled"
DOCUMENTS = (
    "{ number }",
    f"{{ odd {{ {LEAF} }} }}",
    f"{{ odd {{ {LEAF} later place }} twig {{ leaf {{ {LEAF} }} some {{ {LEAF} }} }} }}",
    *(f"{{ odd {{ {name} }} }}" for name in LEAF.split()),
    *(f"{{ twig {{ leaves {{ {name} }} some {{ {name} number }} }} }}" for name in LEAF.split()),
    "{ leaf { broken name later number } } ",
    "{ twig { leaf { name broken } perhaps { name } first { brokenForAll name } } number }",
    "{ twigs { leaves { name brokenForAll brokenLater } } number }",
    "{ twig { a: leaf { x: name } a: leaf { y: number } awaited { later place } } }",
    """{ twig { ...On named { __typename name ... on Leaf { number } } } }
    fragment On on Twig { leaf { ...In } first { ...In } } fragment In on Leaf { name number times(factor: 2) }""",
    "{ twig { either { __typename ... on Leaf { name number } ... on Twig { leaf { name } } } } wrong { name __typename } }",
    "{ wrong { __typename } twig { __typename } twigs { __typename } }",
    "{ wither: __typename __schema { queryType { name fields { name } } } }",
    "mutation { grow { name leaf { name number } some { number } } wither { name number } }",
)
VARYING = """query ($short: Boolean!, $which: Int!) {
  leaf(which: $which) { name number @skip(if: $short) ... @include(if: $short) { maybe flag } times(factor: $which) } }"""


def answer(document: DocumentNode, by: type[StrawberryGraphQLCoreExecutionContext], **variables: Any) -> Any:
    async def answered() -> Any:
        result = execute(
            SCHEMA,
            document,
            variable_values=variables,
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]  # Strawberry types it as a plain bool
            executor_class=by,
            operation_extensions=None,
        )
        found: Any = await result if inspect.isawaitable(result) else result
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            # What a failed field leaves behind, graphql-core lets end in the background.
            await asyncio.wait(others)
        return found

    found = asyncio.run(answered())
    # As text: NaN is not equal to itself, and the order of fields is part of the answer.
    return repr(found.data), [repr(error.formatted) for error in found.errors or ()]


def same(document: DocumentNode, **variables: Any) -> None:
    expected = answer(document, StrawberryGraphQLCoreExecutionContext, **variables)
    for _ in range(2):
        # The second time by the plans that the first has made.
        assert answer(document, PlanningExecutor, **variables) == expected


@pytest.mark.parametrize("text", DOCUMENTS)
def test_a_document_is_answered_as_by_graphql_core(text: str) -> None:
    document = parse(text)
    assert not validate(SCHEMA, document)
    same(document)


def test_fields_that_go_by_variables_do() -> None:
    document = parse(VARYING)
    for short in (True, False):
        for which in range(len(ODD)):
            same(document, short=short, which=which)
    assert "'number': 7" in answer(document, PlanningExecutor, short=False, which=0)[0]
    assert "'number'" not in answer(document, PlanningExecutor, short=True, which=0)[0]


@hypothesis.settings(max_examples=150, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(hypothesis_graphql.from_schema(SDL, allow_x00=False))
def test_any_document_is_answered_as_by_graphql_core(text: str) -> None:
    same(parse(text))


def test_plain_fields_are_worked_out_once_and_kept_for_few_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "KEPT", 3)
    plans._known.clear()
    documents = [parse(f"{{ odd {{ a{number}: name }} }}") for number in range(5)]
    for document in documents:
        answer(document, PlanningExecutor)
    assert len(plans._known) == 3
    kept = plans._known[id(documents[-1].definitions[0])]
    before = dict(kept.selections)
    assert before
    answer(documents[-1], PlanningExecutor)
    assert kept.selections == before


def test_the_plain_fields_of_sagas_are_planned() -> None:
    """Or the plans would be worth nothing: a resolver that asks for `info` or must be awaited is not plain."""
    saga = graphql_schema.type_map["Saga"]
    plain = {name for name, definition in saga.fields.items() if plans._getter(definition)}  # type: ignore[attr-defined]  # an object type, which has fields
    assert plain >= {"id", "status", "state", "nextStep", "waitingFor", "progress", "steps", "startedBy", "error"}

"""Subscribers that ask the same of one saga share one execution, and nobody is told what he may not see."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType, get_named_type

from sagas.ids import ProjectId
from sagas.models import SagaStatus
from sagas.ports import AccessLevel
from schema import permissions, shared_streams
from schema.context import Context
from schema.documents import schema_of
from schema.root import schema
from schema.shared_streams import FellBehindError, SharedStream
from schema.sharing import SAME_FOR_ALL, shareable
from tests.app.api import Api, saga_id
from tests.app.listening import Listener, Peer, listening
from tests.app.test_queries import counted
from tests.app.test_subscriptions import EVENTS, UPDATED
from tests.support import eventually
from tests.world import COLLEAGUE

FORM = "AWAIT_USER_CONDENSER_INPUT"
ACTIONS = "subscription ($saga: ID!) { sagaUpdated(sagaId: $saga) { version availableActions } }"
READERS = 20


@pytest.fixture
async def server(api: Api) -> AsyncIterator[Listener]:
    async with listening(api.app) as made:
        yield made


def selection(type_name: str, depth: int = 3) -> str:
    """Everything of a type that is the same for all, as deep as makes sense."""
    kind = schema_of(schema).type_map[type_name]
    assert isinstance(kind, GraphQLObjectType)
    chosen = []
    for name in sorted(SAME_FOR_ALL[type_name]):
        inner = get_named_type(kind.fields[name].type)
        if not isinstance(inner, GraphQLObjectType):
            chosen.append(name)
        elif depth:
            chosen.append(f"{name} {selection(inner.name, depth - 1)}")
    return "{ __typename " + " ".join(chosen) + " }"


def test_every_shared_field_exists() -> None:
    types = schema_of(schema).type_map
    for name, fields in SAME_FOR_ALL.items():
        kind = types[name]
        assert isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        assert fields <= set(kind.fields), name


@pytest.mark.parametrize(
    "field", ["availableActions", "issue { title }", "mergeRequest { iid }", "events { totalCount }"]
)
def test_what_depends_on_the_viewer_is_never_shared(field: str) -> None:
    graphql_schema = schema_of(schema)
    given = {"saga": "U2FnYTowMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDA="}
    assert shareable(graphql_schema, UPDATED, given, None) is not None
    for hidden in (
        f"subscription ($saga: ID!) {{ sagaUpdated(sagaId: $saga) {{ version {field} }} }}",
        f"subscription ($saga: ID!) {{ sagaEvents(sagaId: $saga) {{ saga {{ ...on Saga {{ {field} }} }} }} }}",
        f"subscription ($saga: ID!) {{ sagaUpdated(sagaId: $saga) {{ ...F }} }} fragment F on Saga {{ {field} }}",
    ):
        assert shareable(graphql_schema, hidden, given, None) is None


async def test_what_is_shared_is_the_same_for_readers_and_developers(api: Api) -> None:
    api.world.access.set(COLLEAGUE, api.world.project.id, AccessLevel.REPORTER)
    saga = await api.world.start()
    await api.world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
    query = f"query ($id: ID!) {{ saga(id: $id) {selection('Saga')} }}"
    assert await api.ask(query, id=saga_id(saga)) == await api.ask(query, token="pavel", id=saga_id(saga))


async def _all_events(peer: Peer, name: str) -> list[int]:
    versions = []
    while (message := await peer.receive())["type"] == "next":
        assert message["id"] == name
        versions.append(message["payload"]["data"]["sagaEvents"]["version"])
    assert message == {"type": "complete", "id": name}
    return versions


async def test_many_readers_of_one_saga_are_told_everything_and_cost_what_one_costs(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    await api.world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(server.client())
        await first.subscribe(EVENTS, name="0", saga=saga_id(saga), after=0)
        assert (await first.next(name="0"))["sagaEvents"]["version"] == 1
        peers = [await stack.enter_async_context(server.client()) for _ in range(READERS)]
        with counted(api) as statements:
            for number, peer in enumerate(peers, 1):
                await peer.subscribe(EVENTS, name=str(number), saga=saga_id(saga), after=0)
                assert (await peer.next(name=str(number)))["sagaEvents"]["version"] == 1
        assert statements == [], "a new subscriber of what is known already costs no query"
        readers = [asyncio.create_task(_all_events(peer, str(number))) for number, peer in enumerate([first, *peers])]
        with counted(api) as statements:
            done = await api.world.run_through(saga.id)
            told = await asyncio.gather(*readers)
        assert told == [list(range(2, done.version + 1))] * (READERS + 1)
        # At most a page of events and a row for each version, however many read them.
        assert len(statements) <= 3 * done.version, "\n".join(statements)


async def test_each_reader_is_told_only_after_a_look_at_his_own_rights(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    await api.world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
    async with server.client() as irina, server.client("pavel") as pavel:
        for peer in (irina, pavel):
            await peer.subscribe(UPDATED, saga=saga_id(saga))
            assert (await peer.next())["sagaUpdated"]["state"] == FORM
        assert len(api.feed.subscribers) == 1, "they share one execution"
        api.world.access.set(COLLEAGUE, api.world.project.id, AccessLevel.NONE)
        await api.world.give(saga.id, "condenser")
        assert (await pavel.error())["code"] == "NOT_FOUND"
        assert (await irina.next())["sagaUpdated"]["state"] != FORM
        async with server.client("pavel") as again:
            await again.subscribe(UPDATED, saga=saga_id(saga))
            assert (await again.error())["code"] == "NOT_FOUND"


async def test_what_differs_by_viewer_is_told_to_each_as_his(api: Api, server: Listener) -> None:
    api.world.access.set(COLLEAGUE, api.world.project.id, AccessLevel.REPORTER)
    saga = await api.world.start()
    await api.world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
    async with server.client() as irina, server.client("pavel") as pavel:
        for peer in (irina, pavel):
            await peer.subscribe(ACTIONS, saga=saga_id(saga))
        assert "ADVANCE" in (await irina.next())["sagaUpdated"]["availableActions"]
        assert (await pavel.next())["sagaUpdated"]["availableActions"] == []


async def test_whoever_comes_back_earlier_than_what_is_kept_misses_nothing(
    api: Api, server: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_streams, "KEPT_EVENTS", 2)
    saga = await api.world.start()
    await api.world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
    async with server.client() as first, server.client() as second:
        await first.subscribe(EVENTS, name="1", saga=saga_id(saga), after=0)
        await first.next(name="1")
        await second.subscribe(EVENTS, name="2", saga=saga_id(saga), after=0)
        readers = [asyncio.create_task(_all_events(first, "1")), asyncio.create_task(_all_events(second, "2"))]
        done = await api.world.run_through(saga.id)
        told = await asyncio.gather(*readers)
    assert told == [list(range(2, done.version + 1)), list(range(1, done.version + 1))]


async def test_a_reader_who_falls_behind_is_told_from_where_he_goes_on_alone() -> None:
    async def nothing_to_check() -> None:
        """Everybody may."""

    stream = SharedStream(ProjectId(1), first=1, known=0, conflated=False)
    for number in range(1, shared_streams.KEPT_EVENTS + 4):
        stream.add(str(number))
    stream.end()
    assert not stream.reaches(3)
    assert stream.reaches(4)
    with pytest.raises(FellBehindError):
        await anext(stream.payloads(3, nothing_to_check))
    assert await anext(stream.payloads(4, nothing_to_check)) == "4"


async def test_long_payloads_are_kept_in_smaller_numbers_but_the_newest_always() -> None:
    async def nothing_to_check() -> None:
        """Everybody may."""

    half = "x" * (shared_streams.KEPT_CHARACTERS // 2)
    stream = SharedStream(ProjectId(1), first=1, known=0, conflated=False)
    for payload in ("small", half, half):
        stream.add(payload)
    assert (stream.reaches(1), stream.reaches(2)) == (False, True)
    whole = "y" * 3 * shared_streams.KEPT_CHARACTERS
    stream.add(whole)
    assert (stream.reaches(3), stream.reaches(4)) == (False, True)
    assert await anext(stream.payloads(4, nothing_to_check)) == whole


async def test_a_conflated_stream_keeps_the_newest_only() -> None:
    async def nothing_to_check() -> None:
        """Everybody may."""

    stream = SharedStream(ProjectId(1), first=1, known=9, conflated=True)
    for state in ("old", "newer", "newest"):
        stream.add(state)
    stream.end()
    assert [payload async for payload in stream.payloads(1, nothing_to_check)] == ["newest"]


async def test_the_last_reader_ends_the_execution(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    await api.world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
    async with server.client() as peer:
        for name in ("1", "2"):
            await peer.subscribe(UPDATED, name=name, saga=saga_id(saga))
            await peer.next(name=name)
        await peer.send({"id": "1", "type": "complete"})
        await api.world.give(saga.id, "condenser")
        await peer.next(name="2")
        assert len(api.feed.subscribers) == 1
        await peer.send({"id": "2", "type": "complete"})
        await eventually(lambda: not api.feed.subscribers, what="nobody watches any more")


async def test_whoever_joins_while_the_last_reader_leaves_is_told_all_the_same(
    api: Api, server: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look at his rights takes a moment, in which the execution that he was to join has ended."""
    saga = await api.world.start()
    await api.world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
    looks, left = asyncio.Event(), asyncio.Event()

    async def slow(context: Context, project: ProjectId) -> bool:
        looks.set()
        await left.wait()
        return await permissions.may_read(context, project)

    async with server.client() as joining:
        async with server.client() as leaving:
            await leaving.subscribe(UPDATED, saga=saga_id(saga))
            await leaving.next()
            monkeypatch.setattr(shared_streams, "may_read", slow)
            await joining.subscribe(UPDATED, saga=saga_id(saga))
            await looks.wait()
        await eventually(lambda: not api.feed.subscribers, what="nobody watches any more")
        left.set()
        assert (await joining.next())["sagaUpdated"]["state"] == FORM
        await api.world.give(saga.id, "condenser")
        assert (await joining.next())["sagaUpdated"]["state"] != FORM, "he hears of changes"


@pytest.mark.parametrize(("checked_s", "told"), [(3600.0, 4), (-1.0, 2)])
async def test_a_slow_reader_who_loses_access_reads_no_further_in_what_came_at_once(
    monkeypatch: pytest.MonkeyPatch, checked_s: float, told: int
) -> None:
    """His access holds for a second; where that is over he is looked at again before the next of them."""
    monkeypatch.setattr(shared_streams, "CHECKED_S", checked_s)
    stream, allowed, read = SharedStream(ProjectId(1), first=1, known=0, conflated=False), True, []

    async def check() -> None:
        if not allowed:
            raise PermissionError

    for number in range(1, 5):
        stream.add(str(number))
    stream.end()
    with suppress(PermissionError):
        async for payload in stream.payloads(1, check):
            read.append(payload)
            allowed = len(read) < 2
    assert len(read) == told

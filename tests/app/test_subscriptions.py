import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
from sqlalchemy.exc import OperationalError

from sagas.ids import SagaId
from sagas.models import SagaStatus
from sagas.ports import AccessLevel, TaskReport, TaskState
from schema import ids
from tests.app.api import Api, saga_id
from tests.app.listening import Listener, listening
from tests.support import eventually
from tests.world import COLLEAGUE, ENGINEER, World

EVENTS = """subscription ($saga: ID!, $after: Int) {
  sagaEvents(sagaId: $saga, afterVersion: $after) { id version type status saga { id version } }
}"""
UPDATED = "subscription ($saga: ID!) { sagaUpdated(sagaId: $saga) { version status state } }"
MANY = "subscription ($filter: SagaFilter) { sagasUpdated(filter: $filter) { id version status } }"


@pytest.fixture
async def server(api: Api) -> AsyncIterator[Listener]:
    async with listening(api.app) as made:
        yield made


async def test_saga_events_come_in_order_each_once_and_complete_with_the_saga(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    async with server.client() as peer:
        await peer.subscribe(EVENTS, saga=saga_id(saga))
        running = asyncio.create_task(api.world.run_through(saga.id))
        versions, last = [], None
        while last != "COMPLETED":
            event = (await peer.next())["sagaEvents"]
            versions.append(event["version"])
            last = event["type"]
            assert event["saga"]["version"] >= event["version"]
        await peer.completed()
        assert versions == list(range(1, len(versions) + 1))
        assert (await running).version == versions[-1]


async def test_a_reconnect_with_after_version_goes_on_without_a_gap_or_a_double(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    running = asyncio.create_task(api.world.run_through(saga.id))
    seen: list[int] = []
    ended = False
    while not ended:
        async with server.client() as peer:
            await peer.subscribe(EVENTS, saga=saga_id(saga), after=seen[-1] if seen else 0)
            for _ in range(3):
                message = await peer.receive()
                if message["type"] == "complete":
                    ended = True
                    break
                seen.append(message["payload"]["data"]["sagaEvents"]["version"])
            peer.connection.transport.abort()
    done = await running
    assert seen == list(range(1, done.version + 1))


async def test_a_finished_saga_is_told_and_completed_at_once(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    done = await api.world.run_through(saga.id)
    async with server.client() as peer:
        await peer.subscribe(EVENTS, saga=saga_id(saga), after=done.version)
        await peer.completed()
        await peer.subscribe(EVENTS, saga=saga_id(saga), after=done.version - 1)
        assert (await peer.next())["sagaEvents"]["type"] == "COMPLETED"
        await peer.completed()
        await peer.subscribe(UPDATED, saga=saga_id(saga))
        assert (await peer.next())["sagaUpdated"]["status"] == "COMPLETED"
        await peer.completed()


async def test_an_after_version_ahead_of_the_saga_is_refused(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    async with server.client() as peer:
        await peer.subscribe(EVENTS, saga=saga_id(saga), after=10_000)
        assert (await peer.error())["code"] == "VERSION_AHEAD"
        await peer.subscribe(EVENTS, saga=saga_id(saga), after=-1)
        assert (await peer.error())["code"] == "BAD_USER_INPUT"


async def test_a_saga_that_may_not_be_seen_is_not_found(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    api.world.access.set(COLLEAGUE, api.world.project.id, AccessLevel.NONE)
    unknown = ids.global_id(ids.SAGA, "00000000-0000-4000-8000-000000000000")
    async with server.client("pavel") as peer:
        for subscription in (EVENTS, UPDATED):
            for given in (saga_id(saga), unknown):
                await peer.subscribe(subscription, saga=given)
                assert (await peer.error())["code"] == "NOT_FOUND"
        await peer.subscribe(EVENTS, saga="nonsense")
        assert (await peer.error())["code"] == "BAD_USER_INPUT"


async def test_whoever_loses_access_hears_no_more(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    async with server.client("pavel") as peer:
        await peer.subscribe(UPDATED, saga=saga_id(saga))
        await peer.next()
        api.world.access.set(COLLEAGUE, api.world.project.id, AccessLevel.NONE)
        await api.world.give(saga.id, "condenser")
        assert (await peer.error())["code"] == "NOT_FOUND"


async def test_saga_updated_begins_with_the_present_and_ends_with_the_last_state(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    async with server.client() as peer:
        await peer.subscribe(UPDATED, saga=saga_id(saga))
        first = (await peer.next())["sagaUpdated"]
        running = asyncio.create_task(api.world.run_through(saga.id))
        versions = [first["version"]]
        status = first["status"]
        while status != "COMPLETED":
            update = (await peer.next())["sagaUpdated"]
            versions.append(update["version"])
            status = update["status"]
        await peer.completed()
        assert versions == sorted(set(versions))
        assert (await running).version == versions[-1]


async def test_a_failed_saga_keeps_its_subscription_open(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    await api.world.give(saga.id, "condenser")
    async with server.client() as peer:
        await peer.subscribe(UPDATED, saga=saga_id(saga))
        task = await api.world.published(saga.id, "condenser")
        api.world.publisher.finish(task, TaskReport(TaskState.FAILED, error="no convergence"))
        await api.world.pushed(saga.branch)
        while (await peer.next())["sagaUpdated"]["status"] != "FAILED":
            pass
        await api.services.sagas.cancel(api.tokens.users["irina"], SagaId(saga.id), compensate=False)
        while (await peer.next())["sagaUpdated"]["status"] != "CANCELLED":
            pass
        await peer.completed()


async def test_sagas_updated_tells_sagas_that_enter_and_leave_the_filter(api: Api, server: Listener) -> None:
    saga = await api.world.start()
    await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    async with server.client() as peer:
        await peer.subscribe(MANY, filter={"statuses": ["AWAITING_INPUT"]})
        await eventually(lambda: api.feed.subscribers)
        await api.world.give(saga.id, "condenser")
        left = (await peer.next())["sagasUpdated"]
        assert (left["id"], left["status"]) != (None, "AWAITING_INPUT")
        await api.world.work(saga.id, "condenser")
        while left["status"] != "AWAITING_INPUT":
            left = (await peer.next())["sagasUpdated"]
        assert left["id"] == saga_id(saga)


async def test_sagas_updated_tells_nothing_of_sagas_that_never_matched(api: Api, server: Listener) -> None:
    api.world.forge.add_branch(api.world.project, "issue/2-other")
    async with server.client() as peer:
        await peer.subscribe(MANY, filter={"branch": "issue/2-other"})
        await eventually(lambda: api.feed.subscribers)
        other = await api.world.start()
        await api.world.reaches(other.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
        wanted = await api.world.start(branch="issue/2-other")
        assert (await peer.next())["sagasUpdated"]["id"] == saga_id(wanted)


async def test_a_search_means_the_same_live_as_in_the_list(api: Api, server: Listener) -> None:
    api.world.forge.add_branch(api.world.project, "issue/2-other")
    async with server.client() as peer:
        await peer.subscribe(MANY, filter={"search": "OTHER irina"})
        await eventually(lambda: api.feed.subscribers)
        await api.world.start()
        wanted = await api.world.start(branch="issue/2-other")
        assert (await peer.next())["sagasUpdated"]["id"] == saga_id(wanted)


async def test_after_a_gap_in_hints_sagas_updated_tells_what_changed_and_nothing_else(
    api: Api, server: Listener
) -> None:
    api.world.forge.add_branch(api.world.project, "issue/2-other")
    moved, still = await api.world.start(), await api.world.start(branch="issue/2-other")
    for saga in (moved, still):
        await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    async with server.client() as peer:
        await peer.subscribe(MANY, filter={})
        await eventually(lambda: api.feed.subscribers)
        await api.services.sagas.pause(ENGINEER, SagaId(still.id))
        assert (await peer.next())["sagasUpdated"]["status"] == "PAUSED"
        api.feed.deaf = True
        await api.world.run_through(moved.id)
        api.feed.deaf = False
        for watch in api.feed.subscribers:
            watch.hear_of_a_gap()
        told = (await peer.next())["sagasUpdated"]
        assert (told["id"], told["status"]) == (saga_id(moved), "COMPLETED")
        for watch in api.feed.subscribers:
            watch.hear_of_a_gap()
        await api.services.sagas.resume(ENGINEER, SagaId(still.id))
        assert (await peer.next())["sagasUpdated"]["id"] == saga_id(still), "the gap told nothing twice"


async def test_a_subscription_outlives_a_database_that_is_away(
    api: Api, server: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    saga = await api.world.start()
    await api.world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    async with server.client() as peer:
        await peer.subscribe(EVENTS, saga=saga_id(saga))
        version = 0
        while version < (await api.world.saga(saga.id)).version:
            version = (await peer.next())["sagaEvents"]["version"]
        queries = type(api.services.backend.queries)
        read = queries.events
        failures = iter([True] * 3)

        async def away(self: object, *args: object, **kwargs: object) -> object:
            if next(failures, False):
                raise OperationalError("SELECT", {}, ConnectionRefusedError("refused"))
            return await read(self, *args, **kwargs)  # type: ignore[arg-type]  # passed on as they come

        monkeypatch.setattr(queries, "events", away)
        await api.world.give(saga.id, "condenser")
        assert (await peer.next())["sagaEvents"]["version"] == version + 1
        assert next(failures, None) is None, "the reads did fail"


ALONE = "subscription ($saga: ID!) { sagaUpdated(sagaId: $saga) { version availableActions } }"


@pytest.mark.parametrize(("query", "watches"), [(UPDATED, 1), (ALONE, 5)])
async def test_a_closed_subscription_leaves_nothing_behind(
    api: Api, server: Listener, world: World, query: str, watches: int
) -> None:
    saga = await world.start()
    for end in ("complete", "abort"):
        async with server.client() as peer:
            for number in range(5):
                await peer.subscribe(query, name=str(number), saga=saga_id(saga))
            await eventually(lambda: len(api.feed.subscribers) == watches)
            if end == "abort":
                peer.connection.transport.abort()
            else:
                for number in range(5):
                    await peer.send({"id": str(number), "type": "complete"})
            await eventually(lambda: not api.feed.subscribers, what="every watch is let go")


@pytest.mark.parametrize("turns", range(6))
async def test_a_subscriber_who_goes_away_before_his_read_began_takes_it_from_nobody(api: Api, turns: int) -> None:
    """At whichever turn of the event loop it is: the reads after it are answered."""
    saga = await api.world.start()
    live = api.services.backend.live
    asks: list[Callable[[], Awaitable[object]]] = [
        partial(live.saga, SagaId(saga.id)),
        partial(live.events, SagaId(saga.id), 0),
    ]
    for ask in asks:
        leaving = asyncio.ensure_future(ask())
        for _ in range(turns):
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        async with asyncio.timeout(30):
            assert await ask()

"""What a client sees of a saga that is in the archive: nothing of the archive."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from sagas.models import Saga
from sagas.ports import AccessLevel
from sagas.retention import Retention, sweep
from schema import ids
from tests.app.api import Api, saga_id
from tests.app.listening import Listener, listening
from tests.app.test_queries import SAGA
from tests.app.test_subscriptions import EVENTS, UPDATED
from tests.world import COLLEAGUE

JOURNAL = """query ($id: ID!, $after: String) { saga(id: $id) {
  events(first: 5, after: $after) { totalCount pageInfo { hasNextPage endCursor } edges { node { id version type data } } } } }"""
NODE = """query ($id: ID!) { node(id: $id) { id ... on Saga { status version }
  ... on SagaEvent { version type } ... on CalculationTask { branch commitHash } } }"""
LIST = "{ sagas(first: 10) { totalCount edges { node { id } } } }"
CANCEL = """mutation ($id: ID!) { cancelSaga(input: {sagaId: $id, idempotencyKey: "late"}) {
  saga { status } userErrors { code } } }"""


@pytest.fixture
async def server(api: Api) -> AsyncIterator[Listener]:
    async with listening(api.app) as made:
        yield made


async def finished(api: Api) -> Saga:
    saga = await api.world.start()
    return await api.world.run_through(saga.id)


async def archive(api: Api) -> None:
    """Whatever is finished goes to the archive, also what has just come back."""
    await api.world.database.run(lambda c: c.execute("UPDATE returned_saga SET returned_at = '2001-01-01'"))
    await sweep(api.world.database, Retention(timedelta(0)))
    assert await api.world.database.read(lambda c: c.fetchval("SELECT count(*) FROM saga")) == 0


async def test_it_is_read_as_before_by_every_id_that_a_client_may_have_kept(api: Api) -> None:
    row = await finished(api)
    task = await api.world.database.read(lambda c: c.fetchval("SELECT id FROM calculation_task LIMIT 1"))
    kept = [
        saga_id(row),
        ids.global_id(ids.SAGA_EVENT, row.id, row.version),
        ids.global_id(ids.CALCULATION_TASK, task),
    ]
    before = await api.ask(SAGA, id=saga_id(row)), [await api.ask(NODE, id=each) for each in kept]
    assert all(answer["node"] for answer in before[1])
    await archive(api)
    assert await api.ask(SAGA, id=saga_id(row)) == before[0]
    for id_, answer in zip(kept, before[1], strict=True):
        await archive(api)
        assert await api.ask(NODE, id=id_) == answer


async def test_its_journal_is_read_page_by_page_whatever_is_swept_in_between(api: Api) -> None:
    row = await finished(api)
    await archive(api)
    versions: list[int] = []
    after, more = None, True
    while more:
        page = (await api.ask(JOURNAL, id=saga_id(row), after=after))["saga"]["events"]
        versions += [edge["node"]["version"] for edge in page["edges"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
        await archive(api)
    assert versions == list(range(1, row.version + 1))


async def test_lists_do_not_have_it(api: Api) -> None:
    row = await finished(api)
    assert (await api.ask(LIST))["sagas"]["totalCount"] == 1
    await archive(api)
    assert (await api.ask(LIST))["sagas"] == {"totalCount": 0, "edges": []}
    await api.ask(SAGA, id=saga_id(row))
    assert (await api.ask(LIST))["sagas"]["totalCount"] == 1, "it is back for whoever asked"


async def test_a_command_on_it_is_refused_as_on_a_finished_one(api: Api) -> None:
    row = await finished(api)
    before = await api.ask(CANCEL, id=saga_id(row))
    assert before["cancelSaga"]["userErrors"]
    await archive(api)
    assert await api.ask(CANCEL, id=saga_id(row)) == before


async def test_whoever_may_not_see_it_is_told_what_he_is_told_of_one_that_never_was(api: Api) -> None:
    row = await finished(api)
    await archive(api)
    api.world.access.set(COLLEAGUE, api.world.project.id, AccessLevel.NONE)
    unknown = ids.global_id(ids.SAGA, UUID(int=1))
    there, never = [await api.post(SAGA, token="pavel", id=each) for each in (saga_id(row), unknown)]
    assert there == never
    there, never = [await api.post(CANCEL, token="pavel", id=each) for each in (saga_id(row), unknown)]
    assert there == never


@pytest.mark.parametrize("level", [AccessLevel.NONE, AccessLevel.REPORTER])
async def test_what_one_may_not_do_moves_nothing_out_of_the_archive(api: Api, level: AccessLevel) -> None:
    row = await finished(api)
    event = ids.global_id(ids.SAGA_EVENT, row.id, row.version)
    task = await api.world.database.read(lambda c: c.fetchval("SELECT id FROM calculation_task LIMIT 1"))
    await archive(api)
    api.world.access.set(COLLEAGUE, api.world.project.id, level)
    await api.post(CANCEL, token="pavel", id=saga_id(row))
    if level is AccessLevel.NONE:
        await api.post(SAGA, token="pavel", id=saga_id(row))
        for each in (saga_id(row), event, ids.global_id(ids.CALCULATION_TASK, task)):
            await api.post(NODE, token="pavel", id=each)
    assert await api.world.database.read(lambda c: c.fetchval("SELECT count(*) FROM saga")) == 0


async def test_a_subscription_tells_its_end_and_completes(api: Api, server: Listener) -> None:
    row = await finished(api)
    async with server.client() as peer:
        await archive(api)
        await peer.subscribe(EVENTS, saga=saga_id(row), after=row.version - 1)
        assert (await peer.next())["sagaEvents"]["type"] == "COMPLETED"
        await peer.completed()
        await archive(api)
        await peer.subscribe(UPDATED, saga=saga_id(row))
        assert (await peer.next())["sagaUpdated"]["status"] == "COMPLETED"
        await peer.completed()

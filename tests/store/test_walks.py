"""Walking a list that grows meanwhile: what was there is met once, in order, also where rows share their moment."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.ext.asyncio import AsyncEngine

from sagas.ids import ProjectId, SagaId
from sagas.models import Saga
from sagas.store.database import sqlalchemy_engine
from sagas.store.queries import Queries, SagaFilter
from tests.store import rows

PROJECTS = frozenset({ProjectId(7), ProjectId(8)})


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = sqlalchemy_engine(database_url, poolclass=AsyncAdaptedQueuePool)
    await rows.insert(engine, [rows.definition()])
    yield engine
    await engine.dispose()


def key(saga: Saga) -> tuple[object, UUID]:
    return saga.created_at, saga.id


def crowd(count: int) -> list[Saga]:
    """Three to a moment, over two projects."""
    return [rows.saga(minute=n // 3, project_id=7 + n % 2) for n in range(count)]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("size", [1, 3])
async def test_sagas_are_met_once_each_while_others_begin(engine: AsyncEngine, backwards: bool, size: int) -> None:
    queries, there = Queries(engine), crowd(11)
    await rows.insert(engine, there)
    met: list[Saga] = []
    cursor: str | None = None
    more = True
    while more:
        if backwards:
            page = await queries.page(SagaFilter(), PROJECTS, last=size, before=cursor)
            met = [row for row, _ in page.edges] + met
            more, cursor = page.has_previous, page.edges[0][1]
        else:
            page = await queries.page(SagaFilter(), PROJECTS, first=size, after=cursor)
            met += [row for row, _ in page.edges]
            more, cursor = page.has_next, page.edges[-1][1]
        if len(met) < 15:
            # At the moment of the page's end, where ties are, and as new as can be.
            edge = page.edges[0 if backwards else -1][0]
            tied = rows.saga(project_id=7)
            tied.created_at = tied.updated_at = edge.created_at
            await rows.insert(engine, [tied, rows.saga(minute=1000 + len(met), project_id=8)])
    ids = [row.id for row in met]
    assert len(ids) == len(set(ids))
    assert {row.id for row in there} <= set(ids)
    assert [key(row) for row in met] == sorted((key(row) for row in met), reverse=True)


@pytest.mark.parametrize("backwards", [False, True])
async def test_events_are_met_once_each_while_others_happen(engine: AsyncEngine, backwards: bool) -> None:
    queries, saga = Queries(engine), rows.saga(version=7)
    await rows.insert(engine, [saga])
    await rows.insert(engine, [rows.event(saga, version) for version in range(1, 8)])
    met: list[int] = []
    cursor: str | None = None
    more, newest = True, 7
    while more:
        if backwards:
            page = await queries.events_page(SagaId(saga.id), last=2, before=cursor)
            met = [event.version for event, _ in page.edges] + met
            more, cursor = page.has_previous, page.edges[0][1]
        else:
            page = await queries.events_page(SagaId(saga.id), first=2, after=cursor)
            met += [event.version for event, _ in page.edges]
            more, cursor = page.has_next, page.edges[-1][1]
        if newest < 10:
            newest += 1
            await rows.insert(engine, [rows.event(saga, newest)])
    assert met == list(range(1, 8 if backwards else newest + 1))


async def test_the_first_and_last_pages_of_many_journals_are_those_of_each(engine: AsyncEngine) -> None:
    queries = Queries(engine)
    sagas = [rows.saga(version=count) for count in (0 + 1, 3, 5)]
    await rows.insert(engine, sagas)
    await rows.insert(engine, [rows.event(saga, n) for saga in sagas for n in range(1, saga.version + 1)])
    ids = [SagaId(saga.id) for saga in sagas] + [SagaId(UUID(int=0))]
    for from_end in (False, True):
        pages = await queries.events_pages(ids, size=3, from_end=from_end)
        for saga_id in ids:
            given = {"last": 3} if from_end else {"first": 3}
            alone = await queries.events_page(saga_id, **given)  # type: ignore[arg-type]  # one of the two sizes
            together = pages[saga_id]
            assert [event.version for event, _ in together.edges] == [event.version for event, _ in alone.edges]
            assert [cursor for _, cursor in together.edges] == [cursor for _, cursor in alone.edges]
            assert (together.has_next, together.has_previous) == (alone.has_next, alone.has_previous)

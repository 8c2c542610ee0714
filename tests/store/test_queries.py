"""FR-ORCH-2: what is stored is read back whole, in pages that neither skip nor repeat."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncEngine

from sagas.errors import RefusalCode, RefusedError
from sagas.ids import ProjectId, SagaId, TaskId
from sagas.models import EventType, Saga, SagaStatus
from sagas.store.database import Database, sqlalchemy_engine
from sagas.store.queries import Page, Queries, SagaFilter
from tests.store import rows

PLANT, OTHER = ProjectId(7), ProjectId(8)
NOBODY = SagaId(UUID(int=0))


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = sqlalchemy_engine(database_url, poolclass=NullPool)
    await rows.insert(engine, [rows.definition(), rows.definition("merge_request"), rows.definition("calculation_x")])
    yield engine
    await engine.dispose()


@pytest.fixture
def queries(engine: AsyncEngine) -> Queries:
    return Queries(engine)


async def walk(queries: Queries, asked: SagaFilter, projects: frozenset[ProjectId] | None, size: int) -> list[Saga]:
    """Every page forwards, checked against the walk backwards."""
    forwards: list[Saga] = []
    after: str | None = None
    while True:
        page = await queries.page(asked, projects, first=size, after=after)
        assert page.has_previous is bool(forwards)
        forwards += [row for row, _ in page.edges]
        if not page.has_next:
            break
        after = page.edges[-1][1]
    backwards: list[Saga] = []
    before: str | None = None
    while True:
        page = await queries.page(asked, projects, last=size, before=before)
        assert page.has_next is bool(backwards)
        backwards = [row for row, _ in page.edges] + backwards
        if not page.has_previous:
            break
        before = page.edges[0][1]
    assert [row.id for row in forwards] == [row.id for row in backwards]
    return forwards


class TestPages:
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
    @pytest.mark.parametrize("projects", [frozenset({PLANT, OTHER}), None])
    async def test_walks_in_both_directions_meet_every_saga_once_newest_first(
        self, engine: AsyncEngine, queries: Queries, size: int, projects: frozenset[ProjectId] | None
    ) -> None:
        # Several in the same minute: the id breaks ties.
        written = [rows.saga(minute=n // 3, project_id=(PLANT, OTHER)[n % 2]) for n in range(11)]
        await rows.insert(engine, written)
        walked = await walk(queries, SagaFilter(), projects, size)
        assert [row.id for row in walked] == [
            row.id for row in sorted(written, key=lambda row: (row.created_at, row.id), reverse=True)
        ]

    async def test_a_row_comes_back_whole_and_usable_without_a_session(
        self, engine: AsyncEngine, queries: Queries
    ) -> None:
        written = rows.saga(writes=["condenser"], context={"repoUrl": "r", "defaultBranch": "main"}, error=None)
        await rows.insert(engine, [written])
        read = await queries.saga(SagaId(written.id))
        assert read is not None
        assert read.status is SagaStatus.AWAITING_INPUT
        assert read.writes == ["condenser"]
        assert read.context == {"repoUrl": "r", "defaultBranch": "main"}
        assert read.created_at == rows.EPOCH
        assert read.error is None

    async def test_sagas_that_came_after_the_first_page_do_not_disturb_the_walk(
        self, engine: AsyncEngine, queries: Queries
    ) -> None:
        written = [rows.saga(minute=n) for n in range(4)]
        await rows.insert(engine, written)
        first = await queries.page(SagaFilter(), frozenset({PLANT}), first=2)
        await rows.insert(engine, [rows.saga(minute=10)])
        second = await queries.page(SagaFilter(), frozenset({PLANT}), first=2, after=first.edges[-1][1])
        assert [row.id for row, _ in (*first.edges, *second.edges)] == [row.id for row in reversed(written)]
        assert second.has_previous
        assert not second.has_next

    async def test_both_cursors_bound_the_window(self, engine: AsyncEngine, queries: Queries) -> None:
        await rows.insert(engine, [rows.saga(minute=n) for n in range(6)])
        everything = await queries.page(SagaFilter(), frozenset({PLANT}), first=10)
        ids, cursors = [row.id for row, _ in everything.edges], [cursor for _, cursor in everything.edges]
        between = await queries.page(SagaFilter(), frozenset({PLANT}), first=10, after=cursors[0], before=cursors[4])
        assert [row.id for row, _ in between.edges] == ids[1:4]
        assert between.has_next
        assert between.has_previous
        nearest = await queries.page(SagaFilter(), frozenset({PLANT}), last=2, after=cursors[0], before=cursors[4])
        assert [row.id for row, _ in nearest.edges] == ids[2:4]

    async def test_an_empty_page_after_the_last_says_what_stands_before_it(
        self, engine: AsyncEngine, queries: Queries
    ) -> None:
        await rows.insert(engine, [rows.saga()])
        everything = await queries.page(SagaFilter(), frozenset({PLANT}), first=1)
        page = await queries.page(SagaFilter(), frozenset({PLANT}), first=1, after=everything.edges[0][1])
        assert page == Page([], has_next=False, has_previous=True)

    @pytest.mark.parametrize("cursor", ["", "x", "!!!", "c2FnYQ", "ZXZlbnQgMw", "я", "A" * 10_000, "\0"])
    @pytest.mark.parametrize("argument", ["after", "before"])
    async def test_a_malformed_cursor_is_refused_by_the_arguments_name(
        self, queries: Queries, cursor: str, argument: str
    ) -> None:
        with pytest.raises(RefusedError) as refusal:
            await (
                queries.page(SagaFilter(), None, first=1, after=cursor)
                if argument == "after"
                else queries.page(SagaFilter(), None, first=1, before=cursor)
            )
        (problem,) = refusal.value.problems
        assert problem.code is RefusalCode.INVALID_INPUT
        assert problem.field == (argument,)

    @pytest.mark.parametrize(("first", "last"), [(None, None), (1, 1), (0, None), (None, -1)])
    async def test_a_page_without_a_sensible_size_is_refused(
        self, queries: Queries, first: int | None, last: int | None
    ) -> None:
        with pytest.raises(RefusedError, match="Give either `first` or `last`"):
            await queries.page(SagaFilter(), None, first=first, last=last)


class TestFilters:
    MATCHING: tuple[tuple[SagaFilter, set[str]], ...] = (
        (SagaFilter(project_path="power/plant"), {"a", "b", "mine", "done"}),
        (SagaFilter(issue_iid=42), {"b"}),
        (SagaFilter(branch="issue/43"), {"mine"}),
        (SagaFilter(definition="balance"), {"a", "b", "mine", "done", "other"}),
        (SagaFilter(definition="merge_request"), {"merge"}),
        (SagaFilter(statuses=frozenset({SagaStatus.COMPLETED})), {"done"}),
        (SagaFilter(statuses=frozenset({SagaStatus.AWAITING_INPUT})), {"a", "b", "mine", "other"}),
        (SagaFilter(statuses=frozenset()), set()),
        (SagaFilter(started_by_id=2), {"mine"}),
        (SagaFilter(started_by_id=1, issue_iid=42), {"b"}),
        (SagaFilter(search="OTHER power"), {"other"}),
        (SagaFilter(search="#42"), {"b"}),
        (SagaFilter(search="e/43"), {"mine"}),
        (SagaFilter(search="%"), set()),
        (SagaFilter(search="  "), {"a", "b", "mine", "done", "other"}),
        (SagaFilter(search="a\0b"), set()),
        (SagaFilter(branch="a\0b"), set()),
        (SagaFilter(project_path="\ud800"), set()),
        (SagaFilter(), {"a", "b", "mine", "done", "other"}),
    )

    async def write(self, engine: AsyncEngine) -> dict[UUID, str]:
        written = {
            "a": rows.saga(),
            "b": rows.saga(minute=1, issue_iid=42),
            "mine": rows.saga(minute=2, started_by_id=2, branch="issue/43"),
            "done": rows.saga(minute=3, status=SagaStatus.COMPLETED),
            "other": rows.saga(minute=4, project_id=OTHER, project_path="power/other"),
            "merge": rows.saga(minute=5, definition_name="merge_request"),
        }
        await rows.insert(engine, written.values())
        return {row.id: name for name, row in written.items()}

    @pytest.mark.parametrize(("asked", "expected"), MATCHING)
    @pytest.mark.parametrize("projects", [frozenset({PLANT, OTHER}), None])
    async def test_page_and_count_agree_on_what_fits(
        self,
        engine: AsyncEngine,
        queries: Queries,
        asked: SagaFilter,
        expected: set[str],
        projects: frozenset[ProjectId] | None,
    ) -> None:
        names = await self.write(engine)
        page = await queries.page(asked, projects, first=100)
        assert {names[row.id] for row, _ in page.edges} == expected
        assert await queries.count(asked, projects) == len(expected)

    @pytest.mark.parametrize("asked", [asked for asked, _ in MATCHING])
    async def test_nothing_of_another_project_is_ever_shown(
        self, engine: AsyncEngine, queries: Queries, asked: SagaFilter
    ) -> None:
        await self.write(engine)
        for projects in (frozenset({OTHER}), frozenset[ProjectId]()):
            page = await queries.page(asked, projects, first=100)
            assert {row.project_id for row, _ in page.edges} <= projects
            assert await queries.count(asked, projects) == len(page.edges)


class TestLookups:
    async def test_sagas_are_found_by_their_ids_and_others_are_missing(
        self, engine: AsyncEngine, queries: Queries
    ) -> None:
        first, second = rows.saga(), rows.saga()
        await rows.insert(engine, [first, second])
        found = await queries.sagas([SagaId(first.id), NOBODY])
        assert list(found) == [first.id]
        assert await queries.saga(NOBODY) is None
        assert await queries.sagas([]) == {}

    async def test_a_batch_may_be_larger_than_a_statement_has_parameters(
        self, engine: AsyncEngine, queries: Queries
    ) -> None:
        wanted = rows.saga()
        await rows.insert(engine, [wanted])
        many = [SagaId(UUID(int=n)) for n in range(40_000)] + [SagaId(wanted.id)]
        assert list(await queries.sagas(many)) == [wanted.id]
        assert await queries.tasks_of(many) == {}
        assert await queries.drafts_of(many) == {}

    async def test_projects_are_each_listed_once(self, engine: AsyncEngine, queries: Queries) -> None:
        assert await queries.project_ids() == []
        await rows.insert(engine, [rows.saga(project_id=project) for project in (9, 3, 9, 2**40, 3)])
        assert await queries.project_ids() == [3, 9, 2**40]

    async def test_an_issues_branch_is_its_newest_sagas(self, engine: AsyncEngine, queries: Queries) -> None:
        await rows.insert(
            engine,
            [
                rows.saga(minute=1, issue_iid=42, branch="old"),
                rows.saga(minute=3, issue_iid=42, branch="new"),
                rows.saga(minute=4, issue_iid=42, branch="merged", definition_name="merge_request"),
                rows.saga(minute=5, issue_iid=42, branch="elsewhere", project_id=OTHER),
            ],
        )
        assert await queries.recorded_branch(PLANT, 42) == "new"
        assert await queries.recorded_branch(PLANT, 43) is None

    async def test_tasks_come_by_saga_oldest_first(self, engine: AsyncEngine, queries: Queries) -> None:
        busy, idle = rows.saga(), rows.saga()
        again = rows.task(busy, minute=5, visit=2)
        first = rows.task(busy, minute=1)
        await rows.insert(engine, [busy, idle, again, first])
        found = await queries.tasks_of([SagaId(busy.id), SagaId(idle.id)])
        assert {key: [task.id for task in tasks] for key, tasks in found.items()} == {busy.id: [first.id, again.id]}
        one = await queries.task(TaskId(first.id))
        assert one is not None
        assert one.input_files == ["condenser_input.json"]
        assert await queries.task(TaskId(busy.id)) is None

    async def test_only_the_present_visits_draft_is_the_forms(self, engine: AsyncEngine, queries: Queries) -> None:
        waiting = rows.saga(visit=2)
        moved_on = rows.saga(state="COMMIT_CONDENSER_INPUT")
        await rows.insert(
            engine,
            [
                waiting,
                moved_on,
                rows.draft(waiting, visit=1),
                rows.draft(waiting, visit=2),
                rows.draft(waiting, state="AWAIT_USER_OTHER_INPUT", visit=2),
                rows.draft(moved_on, state="AWAIT_USER_CONDENSER_INPUT"),
            ],
        )
        found = await queries.drafts_of([SagaId(waiting.id), SagaId(moved_on.id)])
        assert {key: draft.document for key, draft in found.items()} == {waiting.id: {"visit": 2}}


class TestJournal:
    @pytest.fixture
    async def told(self, engine: AsyncEngine) -> SagaId:
        told, other = rows.saga(version=7), rows.saga(version=1)
        await rows.insert(engine, [told, other, rows.event(other, 1)])
        await rows.insert(engine, [rows.event(told, version) for version in range(1, 8)])
        return SagaId(told.id)

    async def test_events_follow_a_version_in_order(self, queries: Queries, told: SagaId) -> None:
        assert [event.version for event in await queries.events(told, 0, limit=100)] == [1, 2, 3, 4, 5, 6, 7]
        assert [event.version for event in await queries.events(told, 3, limit=2)] == [4, 5]
        assert await queries.events(told, 7, limit=100) == []
        assert await queries.events(NOBODY, 0, limit=100) == []

    async def test_an_event_comes_back_whole(self, queries: Queries, told: SagaId) -> None:
        event = await queries.event(told, 3)
        assert event is not None
        assert (event.type, event.actor, event.data) == (EventType.ENTERED, "engine", {})
        assert int(event.xid) > 0
        assert await queries.event(told, 8) is None

    async def test_pages_walk_the_journal_in_both_directions(self, queries: Queries, told: SagaId) -> None:
        versions: list[int] = []
        after: str | None = None
        while True:
            page = await queries.events_page(told, first=3, after=after)
            assert page.has_previous is bool(versions)
            versions += [event.version for event, _ in page.edges]
            if not page.has_next:
                break
            after = page.edges[-1][1]
        assert versions == [1, 2, 3, 4, 5, 6, 7]
        newest = await queries.events_page(told, last=3)
        assert [event.version for event, _ in newest.edges] == [5, 6, 7]
        assert newest.has_previous
        assert not newest.has_next
        older = await queries.events_page(told, last=10, before=newest.edges[0][1])
        assert [event.version for event, _ in older.edges] == [1, 2, 3, 4]
        assert older.has_next
        assert not older.has_previous
        assert await queries.events_count(told) == 7

    @pytest.mark.parametrize("cursor", ["", "ZXZlbnQgLTE", "ZXZlbnQgOTk5OTk5OTk5OTk5", "c2FnYSB4IHk"])
    async def test_a_malformed_cursor_is_refused(self, queries: Queries, told: SagaId, cursor: str) -> None:
        with pytest.raises(RefusedError, match="Argument `after` is not a cursor"):
            await queries.events_page(told, first=1, after=cursor)


async def test_a_client_that_goes_away_in_mid_read_leaves_no_connection_behind(database_url: str) -> None:
    engine = sqlalchemy_engine(database_url, pool_size=1, max_overflow=0, pool_timeout=5)
    queries = Queries(engine)
    for _ in range(20):
        reading = asyncio.create_task(queries.project_ids())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert await queries.project_ids() == []
    pool: Any = engine.pool
    assert pool.checkedout() == 0
    await engine.dispose()


async def test_a_read_goes_through_though_its_connections_were_cut_while_they_rested(database_url: str) -> None:
    database = await Database.open(database_url, size=4)
    queries = Queries(database.engine)
    await asyncio.gather(*(queries.project_ids() for _ in range(4)))
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    await database.read(lambda connection: connection.fetch(cut))
    assert await asyncio.gather(*(queries.project_ids() for _ in range(4))) == [[]] * 4
    await database.close()

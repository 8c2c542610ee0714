"""The read side: sagas, their journals, tasks and drafts as detached models. Nothing here writes or locks.

Each read is one statement outside of any transaction, in a task of its own: a client that goes away in the middle
cannot leave a connection behind half-used.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Integer,
    Select,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    text,
    true,
    tuple_,
)
from sqlalchemy import select as select_columns
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from sagas import merge_request
from sagas.ids import ProjectId, SagaId, TaskId
from sagas.models import CalculationTask, Draft, Saga, SagaEvent, SagaRow
from sagas.store.database import in_own_task, once_more
from sagas.store.filters import SagaFilter
from sagas.store.pages import EventKey, Page, SagaKey, Window

__all__ = ["Page", "Queries", "SagaFilter"]

T = TypeVar("T")
May = Callable[[Sequence[ProjectId]], Awaitable[Collection[ProjectId]]]
BringBack = Callable[[Sequence[SagaId], May | None], Awaitable[int]]
_SAGA = tuple(SagaRow.__table__.columns)  # type: ignore[attr-defined]  # set by SQLModel's metaclass

_SAGA_NAMES = tuple(column.name for column in _SAGA)

# A loose index scan: one index probe per project, however many sagas each has.
PROJECT_IDS = text("""
WITH RECURSIVE project(id) AS (
    (SELECT project_id FROM saga ORDER BY project_id LIMIT 1)
    UNION ALL
    SELECT (SELECT project_id FROM saga WHERE project_id > project.id ORDER BY project_id LIMIT 1)
    FROM project WHERE project.id IS NOT NULL
)
SELECT id FROM project WHERE id IS NOT NULL
""")


class Queries:
    """Reads over one engine, each with a connection of its own."""

    def __init__(self, engine: AsyncEngine, *, bring_back: BringBack | None = None) -> None:
        """`bring_back` moves archived sagas back among the others; returns how many of those asked for are there now."""
        self._bring_back = bring_back
        # Single statements need no BEGIN and ROLLBACK around them.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._running: set[asyncio.Task[Any]] = set()

    async def saga(self, saga_id: SagaId) -> Saga | None:
        """The saga as it is now."""
        return (await self.sagas([saga_id])).get(saga_id)

    async def sagas(self, ids: Sequence[SagaId], may: May | None = None) -> dict[SagaId, Saga]:
        """Those of the sagas that exist, as they are now; one that was archived comes back for whoever `may` see it."""
        found = {SagaId(row.id): row for row in await self._sagas(SAGAS_BY_ID, {"ids": list(ids)})}
        missing = [saga_id for saga_id in ids if saga_id not in found]
        if missing and self._bring_back is not None and await self._bring_back(missing, may):
            found |= {SagaId(row.id): row for row in await self._sagas(SAGAS_BY_ID, {"ids": missing})}
        return found

    async def page(
        self,
        asked: SagaFilter,
        projects: frozenset[ProjectId] | None,
        *,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Page[Saga]:
        """A page of the sagas of these projects (None: of all), newest first.

        Raises RefusedError(INVALID_INPUT), which names the argument, for a malformed cursor.
        """
        window = Window.of(SagaKey.of_cursor, first=first, after=after, last=last, before=before)
        if asked.fits_nothing or projects == frozenset():
            return Page([], has_next=False, has_previous=False)

        async def reaches(backwards: bool) -> bool:
            statement = sagas_statement(asked, projects, reached(window, backwards=backwards), limit=1)
            return bool(await self._sagas(statement))

        limit, oldest_first = window.size + 1, window.from_end
        rows = await self._sagas(
            sagas_statement(asked, projects, bounded(window), limit=limit, oldest_first=oldest_first)
        )
        return await window.page(rows, lambda row: SagaKey(row.created_at, row.id).cursor(), reaches=reaches)

    async def count(self, asked: SagaFilter, projects: frozenset[ProjectId] | None) -> int:
        """How many sagas `page` walks over."""
        if asked.fits_nothing or projects == frozenset():
            return 0
        (count,) = await self._rows(count_statement(asked, projects))
        return count

    async def project_ids(self) -> Sequence[ProjectId]:
        """The projects that have sagas, in numerical order."""

        async def read(session: AsyncSession) -> Sequence[ProjectId]:
            connection = await session.connection()
            return [ProjectId(value) for value in (await connection.execute(PROJECT_IDS)).scalars()]

        return await self._read(read)

    async def recorded_branch(self, project_id: ProjectId, issue_iid: int) -> str | None:
        """The branch that the newest saga of this issue worked on."""
        page = await self.page(SagaFilter(issue_iid=issue_iid), frozenset({project_id}), first=1)
        return page.edges[0][0].branch if page.edges else None

    async def event(self, saga_id: SagaId, version: int) -> SagaEvent | None:
        """One entry of the saga's journal."""
        statement = select(SagaEvent).where(col(SagaEvent.saga_id) == saga_id, col(SagaEvent.version) == version)
        return next(iter(await self._rows(statement)), None)

    async def events(self, saga_id: SagaId, after_version: int, limit: int) -> Sequence[SagaEvent]:
        """Up to `limit` entries of the saga's journal that follow a version, in order."""
        return await self._rows(events_statement(saga_id, [col(SagaEvent.version) > after_version], limit=limit))

    async def events_page(
        self,
        saga_id: SagaId,
        *,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Page[SagaEvent]:
        """A page of the saga's journal, oldest first.

        Raises RefusedError(INVALID_INPUT), which names the argument, for a malformed cursor.
        """
        window = Window.of(EventKey.of_cursor, first=first, after=after, last=last, before=before)
        version = col(SagaEvent.version)

        async def reaches(backwards: bool) -> bool:
            bound = window.after if backwards else window.before
            assert bound is not None
            condition = version <= bound.version if backwards else version >= bound.version
            return bool(await self._rows(events_statement(saga_id, [condition], limit=1)))

        bounds = [] if window.after is None else [version > window.after.version]
        bounds += [] if window.before is None else [version < window.before.version]
        statement = events_statement(saga_id, bounds, limit=window.size + 1, newest_first=window.from_end)
        rows = await self._rows(statement)
        return await window.page(rows, lambda row: EventKey(row.version).cursor(), reaches=reaches)

    async def events_pages(
        self, saga_ids: Sequence[SagaId], *, size: int, from_end: bool
    ) -> dict[SagaId, Page[SagaEvent]]:
        """The first (or last) page of each saga's journal, oldest first: one statement for all of them."""
        window: Window[EventKey] = Window(size, from_end, after=None, before=None)
        rows: dict[SagaId, list[SagaEvent]] = {saga_id: [] for saga_id in saga_ids}
        for row in await self._rows(events_of_each_statement(saga_ids, limit=size + 1, newest_first=from_end)):
            rows[SagaId(row.saga_id)].append(row)
        return {
            saga_id: await window.page(found, lambda row: EventKey(row.version).cursor(), reaches=_never)
            for saga_id, found in rows.items()
        }

    async def events_count(self, saga_id: SagaId) -> int:
        """How many entries the saga's journal has."""
        statement = select(func.count()).select_from(SagaEvent).where(col(SagaEvent.saga_id) == saga_id)
        (count,) = await self._rows(statement)
        return count

    async def task(self, task_id: TaskId) -> CalculationTask | None:
        """One task."""
        return next(iter(await self._rows(select(CalculationTask).where(col(CalculationTask.id) == task_id))), None)

    async def tasks_of(self, saga_ids: Sequence[SagaId]) -> dict[SagaId, Sequence[CalculationTask]]:
        """The tasks of each saga that has any, oldest first."""
        rows = await self._rows(tasks_statement(saga_ids))
        grouped: dict[SagaId, list[CalculationTask]] = {}
        for row in rows:
            grouped.setdefault(SagaId(row.saga_id), []).append(row)
        return dict(grouped)

    async def drafts_of(self, saga_ids: Sequence[SagaId]) -> dict[SagaId, Draft]:
        """The draft of each saga's present visit, where its state has one."""
        rows = await self._rows(drafts_statement(saga_ids))
        return {SagaId(row.saga_id): row for row in rows}

    async def _rows(self, statement: SelectOfScalar[T]) -> Sequence[T]:
        async def read(session: AsyncSession) -> Sequence[T]:
            return (await session.exec(statement)).all()

        return await self._read(read)

    async def _sagas(self, statement: Select[Any], parameters: Mapping[str, Any] | None = None) -> Sequence[Saga]:
        async def read() -> Sequence[Saga]:
            # Plain objects need no session to look after them.
            async with self._engine.connect() as connection:
                found = (await connection.execute(statement, parameters)).all()
            return [Saga(**dict(zip(_SAGA_NAMES, row, strict=True))) for row in found]

        return await self._shielded(once_more(read))

    async def _read(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        async def alone() -> T:
            async with AsyncSession(self._engine, expire_on_commit=False) as session:
                return await work(session)

        return await self._shielded(once_more(alone))

    async def _shielded(self, work: Coroutine[Any, Any, T]) -> T:
        return await in_own_task(work, self._running)


SAGAS_BY_ID = select_columns(*_SAGA).where(col(SagaRow.id) == func.any(bindparam("ids", type_=ARRAY(Uuid()))))
"""The sagas with these `ids`; made once, as putting a statement together takes longer than finding a row by its key."""

_saga_key = tuple_(col(SagaRow.created_at), col(SagaRow.id))


def _saga_literal(key: SagaKey) -> Any:
    return tuple_(literal(key.created_at, DateTime(timezone=True)), literal(key.id, Uuid()))


def bounded(window: Window[SagaKey]) -> list[ColumnElement[bool]]:
    """The condition of the sagas between the window's bounds."""
    after = [] if window.after is None else [_saga_key < _saga_literal(window.after)]
    before = [] if window.before is None else [_saga_key > _saga_literal(window.before)]
    return [*after, *before]


def reached(window: Window[SagaKey], *, backwards: bool) -> list[ColumnElement[bool]]:
    """The condition of the sagas at a bound of the window or outside of it, on the bound's side."""
    bound = window.after if backwards else window.before
    assert bound is not None
    return [_saga_key >= _saga_literal(bound) if backwards else _saga_key <= _saga_literal(bound)]


def sagas_statement(
    asked: SagaFilter,
    projects: frozenset[ProjectId] | None,
    bounds: Sequence[ColumnElement[bool]],
    *,
    limit: int,
    oldest_first: bool = False,
) -> Select[Any]:
    """The sagas that fit, in order of their keys, from whatever index has them in this order already."""
    created, identity = col(SagaRow.created_at), col(SagaRow.id)
    order = (created, identity) if oldest_first else (created.desc(), identity.desc())
    if projects is None or asked.project_path is not None or asked.started_by_id is not None:
        conditions = _conditions(asked, projects)
        return select_columns(*_SAGA).where(*conditions, *bounds).order_by(*order).limit(_inline(limit))
    # Each project's newest by its own index, then the newest of these: no sort ever sees more than a page per project.
    project = func.unnest(_project_array(projects)).table_valued("id", name="project").render_derived()
    conditions = _conditions(asked, None)
    newest = (
        select(identity, created)
        .where(col(SagaRow.project_id) == project.c.id, *conditions, *bounds)
        .order_by(*order)
        .limit(_inline(limit))
        .correlate(project)
        .lateral("newest")
    )
    return (
        select_columns(*_SAGA)
        .select_from(project)
        .join(newest, true())
        .join(SagaRow, identity == newest.c.id)
        .order_by(*order)
        .limit(_inline(limit))
    )


def count_statement(asked: SagaFilter, projects: frozenset[ProjectId] | None) -> SelectOfScalar[int]:
    """How many sagas fit; of projects, or of a user's, their indexes alone tell."""
    return select(func.count()).select_from(SagaRow).where(*_conditions(asked, projects))


def events_statement(
    saga_id: SagaId, bounds: Sequence[ColumnElement[bool]], *, limit: int, newest_first: bool = False
) -> SelectOfScalar[SagaEvent]:
    """A stretch of a saga's journal, by its primary key."""
    version = col(SagaEvent.version)
    order = version.desc() if newest_first else version
    return select(SagaEvent).where(col(SagaEvent.saga_id) == saga_id, *bounds).order_by(order).limit(_inline(limit))


def events_of_each_statement(
    saga_ids: Sequence[SagaId], *, limit: int, newest_first: bool
) -> SelectOfScalar[SagaEvent]:
    """The oldest or newest entries of each saga's journal, in this order, by its primary key."""
    wanted = func.unnest(literal(list(saga_ids), ARRAY(Uuid()))).table_valued("id", name="wanted").render_derived()
    version = col(SagaEvent.version)
    stretch = (
        select(SagaEvent)
        .where(col(SagaEvent.saga_id) == wanted.c.id)
        .order_by(version.desc() if newest_first else version)
        .limit(_inline(limit))
        .correlate(wanted)
        .lateral("stretch")
    )
    event = aliased(SagaEvent, stretch)
    order = col(event.version).desc() if newest_first else col(event.version)
    return select(event).select_from(wanted).join(stretch, true()).order_by(col(event.saga_id), order)


def tasks_statement(saga_ids: Sequence[SagaId]) -> SelectOfScalar[CalculationTask]:
    """The tasks of these sagas, oldest first."""
    task = CalculationTask
    return select(task).where(col(task.saga_id) == _any_of(saga_ids)).order_by(col(task.created_at), col(task.id))


def drafts_statement(saga_ids: Sequence[SagaId]) -> SelectOfScalar[Draft]:
    """The drafts of these sagas' present visits."""
    present = (
        (col(Draft.saga_id) == col(SagaRow.id))
        & (col(Draft.state) == col(SagaRow.state))
        & (col(Draft.visit) == col(SagaRow.visit))
    )
    return select(Draft).join(SagaRow, present).where(col(SagaRow.id) == _any_of(saga_ids))


def searched_text(row: Saga) -> str:
    """What a search looks through: what people know a saga by, apart from what only GitLab knows."""
    issue = "" if row.issue_iid is None else f"#{row.issue_iid}"
    return " ".join((row.project_path, row.branch, issue, row.started_by.get("username") or "")).lower()


_SEARCHED = func.lower(
    func.concat_ws(
        " ",
        col(SagaRow.project_path),
        col(SagaRow.branch),
        literal("#") + cast(col(SagaRow.issue_iid), Text()),
        col(SagaRow.started_by)["username"].astext,
    )
)
"""The same as `searched_text`, for the database."""


def _conditions(asked: SagaFilter, projects: frozenset[ProjectId] | None) -> list[ColumnElement[bool]]:
    equal = {
        col(SagaRow.project_path): asked.project_path,
        col(SagaRow.issue_iid): asked.issue_iid,
        col(SagaRow.branch): asked.branch,
        col(SagaRow.definition_name): asked.definition,
        col(SagaRow.started_by_id): asked.started_by_id,
    }
    conditions: list[ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
    conditions += [_SEARCHED.contains(word, autoescape=True) for word in asked.words]
    if asked.definition is None:
        conditions.append(col(SagaRow.definition_name) != merge_request.NAME)
    if projects is not None:
        conditions.append(col(SagaRow.project_id) == func.any(_project_array(projects)))
    if asked.statuses is not None:
        conditions.append(col(SagaRow.status).in_(asked.statuses))
        if all(status.live for status in asked.statuses):
            # In the words of the partial index of live sagas, so that the planner may use it.
            conditions.append(literal_column("saga.status NOT IN ('COMPLETED', 'CANCELLED')", Boolean()))
    return conditions


async def _never(_backwards: bool) -> bool:
    """A page without bounds has nothing outside of them."""
    return False


def _any_of(ids: Sequence[SagaId]) -> Any:
    # One parameter and one statement's text, however many ids: batches come in every size.
    return func.any(literal(list(ids), ARRAY(Uuid())))


def _project_array(projects: frozenset[ProjectId]) -> Any:
    return literal(sorted(projects), ARRAY(BigInteger))


def _inline(limit: int) -> Any:
    # In the statement's text: a plan made for an unknown limit would expect a tenth of the table.
    return bindparam(None, limit, Integer, literal_execute=True, unique=True)

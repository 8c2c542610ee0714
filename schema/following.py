"""What `sagasUpdated` remembers: of every live saga in its filter, the version last told and whether it matched then."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sagas import models
from sagas.errors import RetryableError
from sagas.ids import ProjectId, SagaId
from sagas.store.queries import SagaFilter
from schema.context import Context
from schema.filters import belongs, live_part, matches_now
from schema.limits import LARGEST_PAGE
from schema.permissions import may_read, readable_projects

ENDED_KEPT = 1000
LOOK_BACK = 8


@dataclass(frozen=True, slots=True)
class Seen:
    """A saga when it was last looked at; `told`: since the subscription began, so that every later change is known."""

    version: int
    matched: bool
    told: bool


class Following:
    """Tells which changed sagas a filter wants: those that matched before the change or match after it."""

    def __init__(self, context: Context, asked: SagaFilter) -> None:
        self._context = context
        self._asked = asked
        self._seen: dict[SagaId, Seen] = {}
        self._ended: OrderedDict[SagaId, Seen] = OrderedDict()
        self._readable: set[ProjectId] = set()

    async def begin(self) -> None:
        """Take note of the sagas that live now; to be called once changes are being watched."""
        self._seen = {SagaId(row.id): self._as_seen(row, told=False) for row in await self._living()}

    async def news(self, changed: Collection[SagaId] | None) -> Sequence[models.Saga]:
        """The wanted ones of these sagas, oldest change first; None: look at all that live or lived."""
        rows = await self._rows(changed)
        before = {row.id: await self._matched_before(row, sure=changed is not None) for row in rows}
        wanted = [row for row in rows if self._note(row, matched_before=before[row.id])]
        allowed = await asyncio.gather(*(self._allowed(row) for row in wanted))
        return sorted((row for row, may in zip(wanted, allowed, strict=True) if may), key=lambda row: row.updated_at)

    async def _rows(self, changed: Collection[SagaId] | None) -> Sequence[models.Saga]:
        if changed is None:
            living = await self._living()
            changed = {*self._seen, *(SagaId(row.id) for row in living)}
        found = await asyncio.gather(*(self._context.backend.live.saga(saga_id) for saga_id in changed))
        return [row for row in found if row is not None and belongs(self._asked, row)]

    async def _matched_before(self, row: models.Saga, *, sure: bool) -> bool | None:
        """Whether the saga matched before it changed; None: it has not changed since it was last told."""
        seen = self._last(row)
        if seen is not None and seen.told:
            return None if seen.version >= row.version else seen.matched
        if seen is not None and seen.matched:
            return True
        if not sure and seen is not None and seen.version >= row.version:
            return None
        # It may have changed between the subscription's begin and the first look at it: its journal knows.
        return self._asked.statuses is not None and await self._matched_lately(row)

    async def _matched_lately(self, row: models.Saga) -> bool:
        since = max(0, row.version - LOOK_BACK)
        events = await self._context.backend.live.events(SagaId(row.id), since)
        return any(event.status in (self._asked.statuses or ()) for event in events[:-1])

    def _note(self, row: models.Saga, *, matched_before: bool | None) -> bool:
        if matched_before is None:
            return False
        now = self._as_seen(row, told=True)
        if row.status.live:
            self._seen[SagaId(row.id)] = now
        else:
            self._remember_end(SagaId(row.id), now)
        return now.matched or matched_before

    def _remember_end(self, saga_id: SagaId, now: Seen) -> None:
        # Hints come twice: without this an ended saga would be news each time.
        self._seen.pop(saga_id, None)
        self._ended[saga_id] = now
        while len(self._ended) > ENDED_KEPT:
            self._ended.popitem(last=False)

    def _last(self, row: models.Saga) -> Seen | None:
        return self._seen.get(SagaId(row.id)) or self._ended.get(SagaId(row.id))

    def _as_seen(self, row: models.Saga, *, told: bool) -> Seen:
        return Seen(row.version, matches_now(self._asked, row), told)

    async def _allowed(self, row: models.Saga) -> bool:
        project = ProjectId(row.project_id)
        try:
            allowed = await may_read(self._context, project)
        except RetryableError:
            return project in self._readable
        if allowed:
            self._readable.add(project)
        else:
            self._readable.discard(project)
        return allowed

    async def _living(self) -> Sequence[models.Saga]:
        queries, asked = self._context.backend.queries, live_part(self._asked)
        projects = frozenset(await readable_projects(self._context))
        self._readable.update(projects)
        rows: list[models.Saga] = []
        after: str | None = None
        while True:
            page = await queries.page(asked, projects, first=LARGEST_PAGE, after=after)
            rows.extend(row for row, _ in page.edges)
            if not page.has_next:
                return rows
            after = page.edges[-1][1]

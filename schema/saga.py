"""Sagas, as clients see them."""

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Self, TypeAlias

import strawberry
from strawberry.scalars import JSON

from sagas import models, undoing
from sagas.definition import DefinitionError
from sagas.definition import SagaDefinition as Chart
from sagas.errors import RetryableError
from sagas.ids import ProjectId, SagaId
from sagas.store.queries import SagaFilter
from sagas.texts import Language, in_language
from sagas.view import SagaView
from schema.calculation import Calculation
from schema.context import Context, Info
from schema.definition import SagaDefinition
from schema.enums import SagaAction, SagaStatus
from schema.event import SagaEvent, SagaEventConnection, SagaEventEdge
from schema.ids import SAGA, global_id
from schema.merge_request import MergeRequest
from schema.node import Node
from schema.pagination import AFTER, BEFORE, FIRST, LAST, PageArguments, PageInfo, page_arguments
from schema.permissions import may_command, visible_issue
from schema.resolver import resolver
from schema.step import PendingInput, SagaError, SagaProgress, SagaStep
from schema.task import CalculationTask
from schema.undo import UndoItem
from schema.user import User

if TYPE_CHECKING:
    from schema.issue import Issue

SagaFault: TypeAlias = DefinitionError | RetryableError


@strawberry.type(description="One running, waiting or finished instance of a definition.")
class Saga(Node):
    """A stored row; what takes more than the row is loaded when asked for."""

    row: strawberry.Private[models.Saga]
    chart: strawberry.Private[Chart | SagaFault]
    """The definition that it runs by; the error where that cannot be had, for the fields that need it."""
    language: strawberry.Private[Language]
    # What the row has as it is: attributes, because each resolver is called once for every saga of a page.
    status: SagaStatus = strawberry.field(description="Whether it runs, waits or has ended.")
    state: str = strawberry.field(description="The state of the state machine, such as AWAIT_USER_CONDENSER_INPUT.")
    version: int = strawberry.field(description="One more with every event; equal to the newest event's version.")
    waiting_since: datetime | None = strawberry.field(description="Since when it waits for that; null while it runs.")
    next_attempt_at: datetime | None = strawberry.field(
        description="When the engine tries again by itself, after an error; null where it need not."
    )
    deadline_at: datetime | None = strawberry.field(
        description="When the present wait ends with an error; null where it may wait for ever."
    )
    project_path: strawberry.ID = strawberry.field(
        description="The path of its project, as it was when the saga began."
    )
    branch: str = strawberry.field(description="The branch that it works on.")
    issue_iid: int | None = strawberry.field(
        description="The number of the issue that it works on, known here even while GitLab is away; null for a saga without one."
    )
    created_at: datetime = strawberry.field(description="When it began.")
    updated_at: datetime = strawberry.field(description="When its newest event happened.")
    finished_at: datetime | None = strawberry.field(
        description="When it was completed or cancelled; null while it lives."
    )

    def node_id(self) -> strawberry.ID:
        """By the saga's UUID."""
        return global_id(SAGA, self.row.id)

    @cached_property
    def view(self) -> SagaView:
        """The row, read with its definition; read once, for all fields that are asked of it."""
        if isinstance(self.chart, Exception):
            raise self.chart
        return SagaView(self.row, self.chart)

    @resolver(description="The definition that it runs by, in the version that it began under.")
    def definition(self) -> SagaDefinition:
        """Never today's, where that is another."""
        return SagaDefinition(stored=self.view.definition)

    @resolver(
        description="What comes next in the user's words of the catalogue, such as CONDENSER_CALCULATION; null at the end."
    )
    def next_step(self) -> str | None:
        """From the calculation that the state belongs to."""
        return self.view.next_step

    @resolver(description="How far it has come.")
    def progress(self) -> SagaProgress:
        """Skipped steps count as completed."""
        progress = self.view.progress
        return SagaProgress(
            completed_steps=progress.completed_steps, total_steps=progress.total_steps, fraction=progress.fraction
        )

    @resolver(description="Its steps in the order of the happy path.")
    def steps(self) -> list[SagaStep]:
        """Also those that were not needed, and those to come."""
        return [SagaStep.of(step, self.language) for step in self.view.steps]

    @resolver(description="The form that it waits for; null while it waits for none.")
    async def pending_input(self, info: Info) -> PendingInput | None:
        """With the draft of the present visit."""
        if self.row.status is not SagaStatus.AWAITING_INPUT:
            return None
        draft = await info.context.loaders.draft.load(SagaId(self.row.id))
        pending = self.view.pending_input(draft)
        if pending is None:
            return None
        return PendingInput(
            step=pending.step,
            calculation=Calculation.of(pending.calculation),
            draft=JSON(pending.draft),
            file=pending.file,
            expected_version=pending.expected_version,
        )

    @resolver(
        description="Whom or what it waits for: a user's name, a worker's queue, GitLab, the broker; null while it runs."
    )
    def waiting_for(self) -> str | None:
        """In words, for a panel."""
        awaited = self.view.waiting_for
        return None if awaited is None else in_language(awaited, self.language)

    @resolver(description="What the viewer may do with it in its present state.")
    async def available_actions(self, info: Info) -> list[SagaAction]:
        """None for those who may only read."""
        if not await may_command(info.context, ProjectId(self.row.project_id)):
            return []
        return list(self.view.available_actions)

    @resolver(
        description=(
            "What `cancelSaga` with `compensate` would do from here, first things first, and what it would leave; empty "
            "once the saga is over. From the saga's own memory: GitLab is not asked."
        )
    )
    async def undo_preview(self, info: Info) -> list[UndoItem]:
        """For a dialog that asks before anything is undone."""
        if not self.row.status.live:
            return []
        tasks = await info.context.loaders.tasks.load(SagaId(self.row.id))
        return [UndoItem.of(item, info.context.language) for item in undoing.preview(self.row, tasks)]

    @resolver(
        description="What `retrySaga` takes as `fromStep` now, the failed step first; empty where nothing failed."
    )
    def retry_steps(self) -> list[str]:
        """Also told to those who may only read: it is where the saga could go on."""
        return list(self.view.retry_steps)

    @resolver(description="The tasks that it sent to workers, oldest first.")
    async def tasks(self, info: Info) -> list[CalculationTask]:
        """A calculation that was dispatched again has several."""
        return [CalculationTask.of(row) for row in await info.context.loaders.tasks.load(SagaId(self.row.id))]

    @resolver(
        description="The GitLab issue that it works on; null for a saga without one, and where the viewer may not see it."
    )
    async def issue(self, info: Info) -> Annotated["Issue", strawberry.lazy("schema.issue")] | None:
        """Null for a saga without one, and where the viewer may not see it."""
        from schema.issue import Issue  # noqa: PLC0415 - the two types know each other

        if self.row.issue_iid is None:
            return None
        found = await visible_issue(info.context, ProjectId(self.row.project_id), self.row.issue_iid)
        return None if found is None else Issue.of(found)

    @resolver(
        description="The merge request of its branch: the open one, or else the newest; null where there is none."
    )
    async def merge_request(self, info: Info) -> MergeRequest | None:
        """As GitLab has it now."""
        found = await info.context.loaders.merge_requests.load((ProjectId(self.row.project_id), self.row.branch))
        if not found:
            return None
        return MergeRequest.of(next((request for request in found if request.state == "opened"), found[0]))

    @resolver(description="What stopped it, or makes it try again; null while all goes well.")
    def error(self) -> SagaError | None:
        """Null while all goes well."""
        return SagaError.from_json(self.row.error, self.language)

    @resolver(description="Who started it.")
    def started_by(self) -> User:
        """As GitLab knew them then."""
        return User.from_json(self.row.started_by)

    @resolver(description="Its journal, oldest first.")
    async def events(
        self,
        info: Info,
        first: Annotated[int | None, strawberry.argument(description=FIRST)] = None,
        after: Annotated[str | None, strawberry.argument(description=AFTER)] = None,
        last: Annotated[int | None, strawberry.argument(description=LAST)] = None,
        before: Annotated[str | None, strawberry.argument(description=BEFORE)] = None,
    ) -> SagaEventConnection:
        """A page by version."""
        return await events_page(info, self.row, first, after, last, before)

    @classmethod
    def of(cls, row: models.Saga, chart: Chart | SagaFault, language: Language) -> Self:
        """From the stored row and its definition."""
        return cls(
            row=row,
            chart=chart,
            language=language,
            status=row.status,
            state=row.state,
            version=row.version,
            waiting_since=row.waiting_since,
            next_attempt_at=row.next_attempt_at,
            deadline_at=row.deadline_at,
            project_path=strawberry.ID(row.project_path),
            branch=row.branch,
            issue_iid=row.issue_iid,
            created_at=row.created_at,
            updated_at=row.updated_at,
            finished_at=row.finished_at,
        )


async def saga_of(context: Context, row: models.Saga) -> Saga:
    """The saga with its definition at hand, so that no field has to wait for it."""
    (saga,) = await sagas_of(context, [row])
    return saga


async def sagas_of(context: Context, rows: Sequence[models.Saga]) -> list[Saga]:
    """The same of several, each definition asked for once; all but the first time in a process it is in memory."""
    charts: dict[tuple[str, int], Chart | SagaFault] = {}
    for row in rows:
        named = (row.definition_name, row.definition_version)
        if named not in charts:
            charts[named] = await _chart(context, *named)
    return [Saga.of(row, charts[row.definition_name, row.definition_version], context.language) for row in rows]


async def _chart(context: Context, name: str, version: int) -> Chart | SagaFault:
    try:
        return await context.backend.definitions.get(name, version)
    except (DefinitionError, RetryableError) as missing:
        # Of a saga whose definition this release does not know, everything else can still be told.
        return missing


async def events_page(
    info: Info, row: models.Saga, first: int | None, after: str | None, last: int | None, before: str | None
) -> SagaEventConnection:
    """A page of the saga's journal; its length is its newest version, as versions have no gap."""
    asked = page_arguments(first, after, last, before)
    saga_id, size, from_end = SagaId(row.id), asked.first or asked.last or 0, asked.first is None
    if asked.after is None and asked.before is None:
        page = await info.context.loaders.events.load((saga_id, size, from_end))
    else:
        # A cursor is of one saga, so there is nothing to put together.
        page = await info.context.backend.queries.events_page(
            saga_id, first=asked.first, after=asked.after, last=asked.last, before=asked.before
        )
    edges = [SagaEventEdge(node=SagaEvent.of(event), cursor=cursor) for event, cursor in page.edges]
    return SagaEventConnection(edges=edges, page_info=PageInfo.of(page), total_count=row.version)


@strawberry.type(description="A saga on a page of sagas.")
class SagaEdge:
    """As the Relay Cursor Connections specification says."""

    node: Saga = strawberry.field(description="The saga.")
    cursor: str = strawberry.field(description="Its place; `after` and `before` take it.")


@strawberry.type(description="A page of sagas, newest first.")
class SagaConnection:
    """As the Relay Cursor Connections specification says."""

    edges: list[SagaEdge] = strawberry.field(description="The sagas of this page.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
    asked: strawberry.Private[SagaFilter]
    projects: strawberry.Private[Sequence[ProjectId]]

    @resolver(description="How many sagas there are on all pages.")
    async def total_count(self, info: Info) -> int:
        """Counted only when asked for."""
        return await info.context.backend.queries.count(self.asked, frozenset(self.projects))


async def sagas_page(
    context: Context, asked: SagaFilter, projects: Sequence[ProjectId], arguments: PageArguments
) -> SagaConnection:
    """A page of the sagas that the filter takes, in projects that the viewer may read."""
    page = await context.backend.queries.page(
        asked,
        frozenset(projects),
        first=arguments.first,
        after=arguments.after,
        last=arguments.last,
        before=arguments.before,
    )
    sagas = await sagas_of(context, [row for row, _ in page.edges])
    edges = [SagaEdge(node=saga, cursor=cursor) for saga, (_, cursor) in zip(sagas, page.edges, strict=True)]
    return SagaConnection(edges=edges, page_info=PageInfo.of(page), asked=asked, projects=projects)

"""Journal entries."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self

import strawberry
from strawberry.scalars import JSON

from sagas import models
from sagas.ids import SagaId
from sagas.texts import retold
from schema.context import Info
from schema.enums import SagaStatus
from schema.ids import SAGA_EVENT, global_id
from schema.node import Node
from schema.pagination import PageInfo
from schema.resolver import resolver

if TYPE_CHECKING:
    from schema.saga import Saga


@strawberry.type(description="One entry of a saga's journal; versions run from 1 without a gap.")
class SagaEvent(Node):
    """What happened, once it has."""

    row: strawberry.Private[models.SagaEvent]

    def node_id(self) -> strawberry.ID:
        """By saga and version."""
        return global_id(SAGA_EVENT, self.row.saga_id, self.row.version)

    @resolver(description="The saga that it happened to, as it is now.")
    async def saga(self, info: Info) -> Annotated["Saga", strawberry.lazy("schema.saga")]:
        """Always there: events die with their saga."""
        from schema.saga import saga_of  # noqa: PLC0415 - the two types know each other

        row = await info.context.loaders.saga.load(SagaId(self.row.saga_id))
        assert row is not None, "an event row refers to its saga"
        return await saga_of(info.context, row)

    @resolver(description="The saga's version that this event made; `afterVersion` takes it.")
    def version(self) -> int:
        """From 1, without a gap."""
        return self.row.version

    @resolver(
        description=(
            "What happened, one of: " + " ".join(models.EventType) + "; more may come, so take unknown ones as news."
        )
    )
    def type(self) -> str:
        """Text, so that a new kind of event breaks no client."""
        return self.row.type.value

    @resolver(description="The state before; null for the first event.")
    def from_state(self) -> str | None:
        """A node of the chart."""
        return self.row.from_state

    @resolver(description="The state after.")
    def to_state(self) -> str:
        """A node of the chart; often the same as before."""
        return self.row.to_state

    @resolver(description="The saga's status after.")
    def status(self) -> SagaStatus:
        """As journalled."""
        return self.row.status

    @resolver(description="A user's name, or `engine`.")
    def actor(self) -> str:
        """Who moved it."""
        return self.row.actor

    @resolver(description="What belongs to it: commit, task, error and the like.")
    def data(self, info: Info) -> JSON:
        """An object; its keys depend on the type."""
        return JSON(retold(self.row.data, info.context.language))

    @resolver(description="When it was decided, by the database's clock.")
    def occurred_at(self) -> datetime:
        """Within the transaction."""
        return self.row.occurred_at

    @classmethod
    def of(cls, row: models.SagaEvent) -> Self:
        """From the stored row."""
        return cls(row=row)


@strawberry.type(description="An event on a page of events.")
class SagaEventEdge:
    """As the Relay Cursor Connections specification says."""

    node: SagaEvent = strawberry.field(description="The event.")
    cursor: str = strawberry.field(description="Its place; `after` and `before` take it.")


@strawberry.type(description="A page of a saga's events, oldest first.")
class SagaEventConnection:
    """As the Relay Cursor Connections specification says."""

    edges: list[SagaEventEdge] = strawberry.field(description="The events of this page.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
    total_count: int = strawberry.field(description="How many events the saga has.")

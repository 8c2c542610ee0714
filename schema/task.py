"""Calculation tasks: what workers were asked to do."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self

import strawberry
from strawberry.scalars import JSON

from sagas import catalogue, models
from sagas.ids import SagaId
from schema.calculation import Calculation
from schema.context import Info
from schema.enums import TaskStatus
from schema.ids import CALCULATION_TASK, global_id
from schema.node import Node
from schema.resolver import resolver

if TYPE_CHECKING:
    from schema.saga import Saga


@strawberry.type(description="A task message to the calculation workers, and what became of it.")
class CalculationTask(Node):
    """One message; a calculation that is dispatched again gets a new one."""

    row: strawberry.Private[models.CalculationTask]

    def node_id(self) -> strawberry.ID:
        """By the task's UUID."""
        return global_id(CALCULATION_TASK, self.row.id)

    @resolver(description="The saga that sent it.")
    async def saga(self, info: Info) -> Annotated["Saga", strawberry.lazy("schema.saga")]:
        """Always there: tasks die with their saga."""
        from schema.saga import saga_of  # noqa: PLC0415 - the two types know each other

        row = await info.context.loaders.saga.load(SagaId(self.row.saga_id))
        assert row is not None, "a task row refers to its saga"
        return await saga_of(info.context, row)

    @resolver(description="The message's correlationId; also the id of the Celery task.")
    def correlation_id(self) -> strawberry.ID:
        """A bare UUID: workers know it as that."""
        return strawberry.ID(str(self.row.id))

    @resolver(description="What it calculates, as the saga's definition has it.")
    async def calculation(self, info: Info) -> Calculation:
        """From the saga's own definition, not from today's catalogue."""
        row = await info.context.loaders.saga.load(SagaId(self.row.saga_id))
        assert row is not None, "a task row refers to its saga"
        definition = await info.context.backend.definitions.get(row.definition_name, row.definition_version)
        return Calculation.of(catalogue.Calculation.from_json(definition.calculations[self.row.calculation]))

    @resolver(description="How far it has come.")
    def status(self) -> TaskStatus:
        """As stored."""
        return self.row.status

    @resolver(description="The branch that the worker reads from and pushes to.")
    def branch(self) -> str:
        """As in the message."""
        return self.row.branch

    @resolver(description="The commit that it calculates.")
    def commit_hash(self) -> str:
        """As in the message."""
        return self.row.commit_hash

    @resolver(description="The paths of the files that it reads.")
    def input_files(self) -> list[str]:
        """As in the message."""
        return list(self.row.input_files)

    @resolver(description="The path of the file that it writes.")
    def output_file(self) -> str:
        """As in the message."""
        return self.row.output_file

    @resolver(description="The output document; null until it is accepted.")
    def result(self) -> JSON | None:
        """As read from the branch."""
        return None if self.row.result is None else JSON(self.row.result)

    @resolver(description="Why it failed, in the worker's words; null where it did not.")
    def error(self) -> str | None:
        """Null unless it failed."""
        return self.row.error

    @resolver(description="When the saga decided to send it.")
    def created_at(self) -> datetime:
        """The database's time."""
        return self.row.created_at

    @resolver(description="When the broker confirmed it; null until then.")
    def published_at(self) -> datetime | None:
        """Null while it waits for the broker."""
        return self.row.published_at

    @resolver(description="When its end was known here; null until then.")
    def finished_at(self) -> datetime | None:
        """Null while it runs."""
        return self.row.finished_at

    @classmethod
    def of(cls, row: models.CalculationTask) -> Self:
        """From the stored row."""
        return cls(row=row)

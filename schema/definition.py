"""Saga definitions."""

from typing import Annotated

import strawberry

from sagas import definition
from sagas.errors import RefusalCode, refused
from sagas.texts import say
from schema import ids
from schema.context import Info
from schema.errors import not_found
from schema.permissions import readable_saga
from schema.resolver import resolver


@strawberry.type(description="An edge of a chart: the way from one state to the next.")
class SagaTransition:
    """Without the ways back that only a retry takes."""

    from_state: str = strawberry.field(description="Where it begins.")
    trigger: str = strawberry.field(description="What sends a saga along it, such as `output_current`.")
    to_state: str = strawberry.field(description="Where it ends.")


@strawberry.type(description="A state chart that sagas run by, in one stored version.")
class SagaDefinition:
    """The chart, as data."""

    stored: strawberry.Private[definition.SagaDefinition]

    @resolver(description="Its name, such as `balance`.")
    def name(self) -> str:
        """The same over versions."""
        return self.stored.name

    @resolver(description="Counts the changes of the chart or of its catalogue entries; live sagas keep theirs.")
    def version(self) -> int:
        """From 1."""
        return self.stored.version

    @resolver(description="Its title, in the language that the request prefers.")
    def title(self, info: Info) -> str:
        """English unless the request prefers Russian."""
        return self.stored.title.get(info.context.language) or self.stored.title["en"]

    @resolver(description="The states of the chart, in the order of the happy path.")
    def states(self) -> list[str]:
        """With the final one."""
        return [step.name for step in self.stored.steps]

    @resolver(description="The edges of the chart, but for the ways back that only a retry takes.")
    def transitions(self) -> list[SagaTransition]:
        """To draw the chart from."""
        return [
            SagaTransition(from_state=edge.source, trigger=edge.trigger, to_state=edge.target)
            for edge in self.stored.transitions
            if edge.trigger != definition.back_to(edge.target)
        ]

    @resolver(description="The state machine as a Mermaid state diagram; with a saga's id, its active state is marked.")
    async def diagram(
        self,
        info: Info,
        saga_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="A saga of this definition, to mark where it is.")
        ] = None,
    ) -> str:
        """Drawn by the library that runs the chart."""
        if saga_id is None:
            return drawn(self.stored, None)
        row = await readable_saga(info.context, ids.saga_id(saga_id, "sagaId"))
        if row is None:
            raise not_found(say("The saga"))
        if row.definition_name != self.stored.name:
            raise refused(
                RefusalCode.INVALID_INPUT,
                say(
                    "The saga runs by `{definition_name}`, not by `{name}`.",
                    definition_name=row.definition_name,
                    name=self.stored.name,
                ),
                "sagaId",
            )
        return drawn(self.stored, row.state)


_DRAWN: dict[tuple[str, int, str | None], str] = {}


def drawn(stored: definition.SagaDefinition, active: str | None) -> str:
    """The diagram, drawn once: a stored version never changes, and drawing takes the library tens of milliseconds."""
    key = (stored.name, stored.version, active)
    if key not in _DRAWN:
        _DRAWN[key] = stored.mermaid(active=active)
    return _DRAWN[key]

"""The catalogue's entries."""

from typing import Self

import strawberry
from strawberry.scalars import JSON

from sagas import catalogue
from schema.context import Info
from schema.resolver import resolver


@strawberry.type(description="A calculation that can be run: an entry of the catalogue.")
class Calculation:
    """What a form needs to know of a calculation."""

    entry: strawberry.Private[catalogue.Calculation]

    @resolver(description="Its name, such as `condenser`.")
    def name(self) -> str:
        """The key in the catalogue."""
        return self.entry.name

    @resolver(description="Its title in the words of engineers, in the language that the request prefers.")
    def title(self, info: Info) -> str:
        """English unless the request prefers Russian."""
        return self.entry.title.get(info.context.language) or self.entry.title["en"]

    @resolver(description="The path of its input document in a branch.")
    def input_file(self) -> str:
        """As the catalogue says."""
        return self.entry.input_file

    @resolver(description="The path of its output document in a branch.")
    def output_file(self) -> str:
        """As the catalogue says."""
        return self.entry.output_file

    @resolver(description="The calculations whose outputs it reads.")
    def depends_on(self) -> list[str]:
        """By name."""
        return list(self.entry.depends_on)

    @resolver(description="JSON Schema (2020-12) of the input document.")
    def input_schema(self) -> JSON:
        """Whole, with titles and units for forms."""
        return JSON(self.entry.input_schema)

    @classmethod
    def of(cls, entry: catalogue.Calculation) -> Self:
        """From the catalogue."""
        return cls(entry=entry)

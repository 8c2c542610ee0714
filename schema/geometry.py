"""Geometries of a project's manifest (FR-ORCH-5)."""

from typing import Self

import strawberry
from strawberry.scalars import JSON

from sagas import ports
from sagas.ids import ProjectId
from schema.ids import GEOMETRY, global_id


@strawberry.type(description="One entry of a project's geometries_manifest.json.")
class Geometry:
    """Equipment that a calculation can take its dimensions from."""

    id: strawberry.ID = strawberry.field(description="Unique over projects and refs.")
    key: str = strawberry.field(description="Its id in the manifest.")
    name: str = strawberry.field(description="What engineers call it.")
    kind: str | None = strawberry.field(
        description="The kind of equipment, such as `condenser`; null where the manifest names none."
    )
    file: str | None = strawberry.field(
        description="The path of its file in the branch; null where the manifest names none."
    )
    description: str | None = strawberry.field(
        description="What the manifest says about it; null where it says nothing."
    )
    attributes: JSON = strawberry.field(description="The rest of its entry, as it stands.")

    @classmethod
    def of(cls, entry: ports.Geometry, project: ProjectId, ref: str) -> Self:
        """From the manifest's entry at a ref."""
        return cls(
            id=global_id(GEOMETRY, project, ref, entry.key),
            key=entry.key,
            name=entry.name,
            kind=entry.kind,
            file=entry.file,
            description=entry.description,
            attributes=JSON(dict(entry.attributes)),
        )

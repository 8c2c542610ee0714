"""What a cancellation would undo, for a dialog that asks before it does."""

from typing import Self

import strawberry

from sagas import undoing
from sagas.texts import Language, in_language
from schema.enums import UndoKind
from schema.step import Commit


@strawberry.type(description="One thing that `cancelSaga` with `compensate` would undo, or that it would leave.")
class UndoItem:
    """As the saga remembers it."""

    kind: UndoKind = strawberry.field(description="What it is.")
    description: str = strawberry.field(
        description="What would happen, in words; for RESULT and MERGE_REQUEST, what stays."
    )
    step: str | None = strawberry.field(description="The step that did it; null where no single one did.")
    file: str | None = strawberry.field(description="The file that it is about; null where it is about none.")
    commit: Commit | None = strawberry.field(description="The commit that it is about; null where it is about none.")
    stays: str | None = strawberry.field(
        description="Why it stays. Null: it is undone, unless somebody has built upon it; then that is told, and it stays."
    )

    @classmethod
    def of(cls, item: undoing.UndoItem, language: Language) -> Self:
        """From the read side's item."""
        return cls(
            kind=item.kind,
            description=in_language(item.description, language),
            step=item.step,
            file=item.file,
            commit=None if item.commit is None else Commit.from_json(item.commit),
            stays=None if item.stays is None else in_language(item.stays, language),
        )

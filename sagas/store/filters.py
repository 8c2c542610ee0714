"""Which sagas a list shows."""

from dataclasses import dataclass, fields

from sagas.models import SagaStatus


@dataclass(frozen=True, slots=True)
class SagaFilter:
    """Which sagas; every given field must fit. Merge request sagas are listed only where `definition` names them."""

    project_path: str | None = None
    issue_iid: int | None = None
    branch: str | None = None
    definition: str | None = None
    statuses: frozenset[SagaStatus] | None = None
    started_by_id: int | None = None
    search: str | None = None
    """Words that must all be found in `searched_text`, in any case of their letters."""

    @property
    def words(self) -> list[str]:
        """What is searched for, in lower case."""
        return (self.search or "").lower().split()

    @property
    def fits_nothing(self) -> bool:
        """Whether no saga can fit: PostgreSQL's text holds neither NUL nor half of a surrogate pair."""
        values = (getattr(self, field.name) for field in fields(self))
        return self.statuses == frozenset() or any(isinstance(value, str) and not _storable(value) for value in values)


def _storable(value: str) -> bool:
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False

"""Which sagas are meant: the filter of lists and of `sagasUpdated`, with one meaning in both."""

from dataclasses import replace

import strawberry

from sagas import models, ports
from sagas.store import queries
from schema.enums import SagaStatus

MERGE_REQUEST = "merge_request"


@strawberry.input(description="Which sagas; every given field must fit, what is missing or null fits all.")
class SagaFilter:
    """All of it compares with what the saga itself keeps; only the status ever changes."""

    project_path: strawberry.ID | None = strawberry.field(
        description="The project's full path, as it was when the saga began.", default=None
    )
    issue_iid: int | None = strawberry.field(description="The issue's number in its project.", default=None)
    branch: str | None = strawberry.field(description="The branch that the saga works on.", default=None)
    definition: str | None = strawberry.field(
        description="The definition's name, such as `balance`; `merge_request` sagas are listed only by it.",
        default=None,
    )
    statuses: list[SagaStatus] | None = strawberry.field(description="Any of these statuses.", default=None)
    mine: bool | None = strawberry.field(description="True: only sagas that the viewer started.", default=None)
    search: str | None = strawberry.field(
        description=(
            "Words, each to be found in the project's path, the branch, the issue's number with #, or the login name of"
            " whoever started it; upper or lower case is the same."
        ),
        default=None,
    )


def saga_filter_of(given: SagaFilter | None, viewer: ports.User) -> queries.SagaFilter:
    """The read side's filter for what the client gave."""
    if given is None:
        return queries.SagaFilter()
    return queries.SagaFilter(
        project_path=given.project_path,
        issue_iid=given.issue_iid,
        branch=given.branch,
        definition=given.definition,
        # The sorted schema hands over the values of enums, not their members.
        statuses=None if given.statuses is None else frozenset(map(SagaStatus, given.statuses)),
        started_by_id=viewer.id if given.mine else None,
        search=given.search,
    )


def live_part(asked: queries.SagaFilter) -> queries.SagaFilter:
    """The same filter, whatever the status, for sagas that may still change."""
    return replace(asked, statuses=frozenset(status for status in SagaStatus if status.live))


def belongs(asked: queries.SagaFilter, row: models.Saga) -> bool:
    """Whether the filter's lasting part takes the saga: what will never change while the saga lives."""
    return all(
        (
            asked.project_path in {None, row.project_path},
            asked.issue_iid in {None, row.issue_iid},
            asked.branch in {None, row.branch},
            row.definition_name == asked.definition
            or (asked.definition is None and row.definition_name != MERGE_REQUEST),
            asked.started_by_id in {None, row.started_by_id},
            all(word in queries.searched_text(row) for word in asked.words),
        )
    )


def matches_now(asked: queries.SagaFilter, row: models.Saga) -> bool:
    """Whether the filter's changing part takes the saga as it is."""
    return asked.statuses is None or row.status in asked.statuses

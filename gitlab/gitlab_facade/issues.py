"""Walking over issues by (creation time, id), which GitLab's REST API cannot do by itself.

GitLab pages issues by offset only. A step of this walk asks for those created up to the last one seen and leaves out
what it has seen: issues that come, go or close meanwhile shift no page, and issues created in the same millisecond are
neither lost nor repeated.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from gitlab.exceptions import GitlabError
from gitlab.v4.objects import Project as RemoteProject

from gitlab_facade import answers
from gitlab_facade.errors import is_missing
from sagas.ports import Issue, IssueCursor, IssuePage

PER_PAGE = 100

Fetch = Callable[[datetime | None, int], Sequence[Issue]]
"""Issues created at or before a moment, newest first: the n-th page (from 1) of up to `PER_PAGE`."""

# GitLab stores microseconds and shows milliseconds: the bound must not cut off the rest of the millisecond shown.
_RESOLUTION = timedelta(milliseconds=1)


def walk(fetch: Fetch, *, first: int, after: IssueCursor | None) -> IssuePage:
    """The next `first` issues after the cursor, newest first by (creation time, id)."""
    found: dict[int, Issue] = {}
    bound, page = (after.created_at + _RESOLUTION if after else None), 1
    while True:
        issues = fetch(bound, page)
        found |= {issue.id: issue for issue in issues if after is None or _order(issue) < (after.created_at, after.id)}
        ordered = sorted(found.values(), key=_order, reverse=True)
        if len(issues) < PER_PAGE or _complete(ordered, first, issues[-1].created_at):
            return IssuePage(tuple(ordered[:first]), has_next=len(ordered) > first)
        bound, page = _next_step(bound, page, issues[-1].created_at)


def in_query(moment: datetime) -> str:
    """A moment as GitLab reads it in a query, in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _order(issue: Issue) -> tuple[datetime, int]:
    return issue.created_at, issue.id


def _complete(ordered: Sequence[Issue], first: int, oldest_seen: datetime) -> bool:
    """Whether the page and one issue after it are there and no issue of their milliseconds can still come."""
    return len(ordered) > first and oldest_seen < ordered[first].created_at


def _next_step(bound: datetime | None, page: int, oldest_seen: datetime) -> tuple[datetime, int]:
    closer = oldest_seen + _RESOLUTION
    # A whole page of one millisecond brings the bound no further: within it, only the offset does.
    return (bound, page + 1) if bound is not None and closer >= bound else (closer, 1)


def by_number(remote: RemoteProject, iid: int) -> Issue | None:
    """One issue of the project."""
    try:
        return answers.issue(remote.issues.get(iid).attributes)
    except GitlabError as error:
        if is_missing(error) or is_missing(error, "Issue"):
            return None
        raise


def numbered(remote: RemoteProject, iids: Sequence[int]) -> Mapping[int, Issue]:
    """Those of the project's issues that have one of these numbers; a request for each hundred."""
    found: dict[int, Issue] = {}
    for start in range(0, len(iids), PER_PAGE):
        asked = list(iids[start : start + PER_PAGE])
        listed = remote.issues.list(iids=asked, per_page=PER_PAGE, get_all=False)
        found |= {issue.iid: issue for issue in (answers.issue(one.attributes) for one in listed)}
    return found

"""The walk over issues: nothing repeated and nothing lost, whatever happens between two requests."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gitlab_facade.issues import PER_PAGE, in_query, walk
from sagas.ids import ProjectId
from sagas.ports import Issue, IssueCursor

T0 = datetime(2031, 5, 4, 9, 8, 7, tzinfo=UTC)


def _issue(number: int, microseconds: int) -> Issue:
    created = T0 + timedelta(microseconds=microseconds)
    return Issue(number, number, ProjectId(1), "a/b", f"Issue {number}", None, "opened", (), "http://x", (), created,
                 created, None)  # fmt: skip


class Server:
    """Stores microseconds, compares with them, shows milliseconds, pages by offset: as GitLab does."""

    def __init__(self, issues: Sequence[Issue]) -> None:
        self.issues = list(issues)
        self.requests = 0

    def fetch(self, bound: datetime | None, page: int) -> Sequence[Issue]:
        self.requests += 1
        ordered = sorted(self.issues, key=lambda issue: (issue.created_at, -issue.id), reverse=True)
        inside = [issue for issue in ordered if bound is None or issue.created_at <= bound]
        shown = [replace(i, created_at=i.created_at.replace(microsecond=i.created_at.microsecond // 1000 * 1000))
                 for i in inside]  # fmt: skip
        return shown[(page - 1) * PER_PAGE : page * PER_PAGE]

    def walk_all(self, first: int) -> list[int]:
        found: list[int] = []
        cursor: IssueCursor | None = None
        while True:
            page = walk(self.fetch, first=first, after=cursor)
            found += [issue.id for issue in page.issues]
            if not page.has_next:
                return found
            assert len(page.issues) == first
            cursor = IssueCursor(page.issues[-1].created_at, page.issues[-1].id)


@given(
    milliseconds=st.lists(st.integers(0, 4000), max_size=260),
    spread=st.sampled_from([1, 300, 1000, 50_000]),
    first=st.sampled_from([1, 7, 20, 100]),
)
def test_every_issue_comes_exactly_once_newest_first(milliseconds: list[int], spread: int, first: int) -> None:
    issues = [_issue(number, at * spread) for number, at in enumerate(milliseconds, start=1)]
    found = Server(issues).walk_all(first)
    shown = {
        issue.id: issue.created_at.replace(microsecond=issue.created_at.microsecond // 1000 * 1000) for issue in issues
    }
    assert found == sorted(shown, key=lambda number: (shown[number], number), reverse=True)


def test_three_pages_of_one_millisecond_end() -> None:
    issues = [_issue(number, 500) for number in range(1, 2 * PER_PAGE + 51)]
    assert Server(issues).walk_all(40) == list(range(len(issues), 0, -1))


def test_issues_made_or_closed_between_two_requests_shift_nothing() -> None:
    server = Server([_issue(number, number * 5000) for number in range(1, 251)])
    seen = walk(server.fetch, first=100, after=None).issues
    server.issues += [_issue(number, number * 5000) for number in range(251, 300)]
    server.issues = [issue for issue in server.issues if issue.id not in {200, 210, 220}]
    rest = walk(server.fetch, first=100, after=IssueCursor(seen[-1].created_at, seen[-1].id))
    assert [issue.id for issue in seen] == list(range(250, 150, -1))
    assert [issue.id for issue in rest.issues] == list(range(150, 50, -1))
    assert rest.has_next


def test_a_small_page_costs_one_request() -> None:
    server = Server([_issue(number, number * 5000) for number in range(1, 31)])
    assert walk(server.fetch, first=20, after=None).has_next
    assert server.requests == 1


def test_times_travel_in_utc_with_milliseconds() -> None:
    east = datetime.fromisoformat("2031-05-04T11:08:07.120+02:00")
    assert in_query(east) == "2031-05-04T09:08:07.120Z"

"""GitLab issues: the work that sagas belong to (FR-ORCH-4)."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Annotated, Self

import strawberry

from sagas import ports
from sagas.store.queries import SagaFilter
from sagas.texts import say
from sagas.use_cases.branches import issue_branch_name
from schema.context import Info
from schema.errors import bad_input
from schema.ids import ISSUE, global_id
from schema.node import Node
from schema.pagination import AFTER, FIRST, PageInfo, page_arguments
from schema.permissions import may_read
from schema.resolver import resolver
from schema.saga import SagaConnection, sagas_page
from schema.user import User


@strawberry.type(description="A GitLab issue.")
class Issue(Node):
    """One task of an engineer; its work happens on a branch of its own."""

    found: strawberry.Private[ports.Issue]

    def node_id(self) -> strawberry.ID:
        """By project and number."""
        return global_id(ISSUE, self.found.project_id, self.found.iid)

    @resolver(description="Its number in the project.")
    def iid(self) -> int:
        """GitLab's iid."""
        return self.found.iid

    @resolver(description="The path of its project, with namespace.")
    def project_path(self) -> strawberry.ID:
        """As GitLab has it now."""
        return strawberry.ID(self.found.project_path)

    @resolver(description="Its title.")
    def title(self) -> str:
        """In GitLab's words."""
        return self.found.title

    @resolver(description="Its text, in GitLab's Markdown; null where it has none.")
    def description(self) -> str | None:
        """Null where it has none."""
        return self.found.description

    @resolver(description="GitLab's word: opened or closed.")
    def state(self) -> str:
        """As GitLab has it now."""
        return self.found.state

    @resolver(description="Its labels.")
    def labels(self) -> list[str]:
        """By name."""
        return list(self.found.labels)

    @resolver(description="Its page in GitLab.")
    def web_url(self) -> str:
        """For a browser."""
        return self.found.web_url

    @resolver(description="Who is to do it.")
    def assignees(self) -> list[User]:
        """In GitLab's order."""
        return [User.of(user) for user in self.found.assignees]

    @resolver(description="When it was made.")
    def created_at(self) -> datetime:
        """GitLab's time."""
        return self.found.created_at

    @resolver(description="When it last changed.")
    def updated_at(self) -> datetime:
        """GitLab's time."""
        return self.found.updated_at

    @resolver(description="The day by which it is to be done, as YYYY-MM-DD; null where none is set.")
    def due_date(self) -> str | None:
        """Null where it has none."""
        return self.found.due_date

    @resolver(
        description=(
            "The branch that work on this issue happens on: existing or to be created. Null where several branches carry "
            "its number: then a start must name one. Null also for a viewer who may not see the project's code."
        )
    )
    async def branch(self, info: Info) -> str | None:
        """By the same rule as a start without `branch`."""
        loaders, issue = info.context.loaders, self.found
        if not await may_read(info.context, issue.project_id):
            return None
        recorded = await info.context.backend.queries.recorded_branch(issue.project_id, issue.iid)
        if recorded is not None and await loaders.branch.load((issue.project_id, recorded)) is not None:
            return recorded
        candidates = await loaders.issue_branches.load((issue.project_id, issue.iid))
        if len(candidates) > 1:
            return None
        return candidates[0].name if candidates else issue_branch_name(issue)

    @resolver(description="The sagas that worked on it, newest first.")
    async def sagas(
        self,
        info: Info,
        first: Annotated[int | None, strawberry.argument(description=FIRST)] = None,
        after: Annotated[str | None, strawberry.argument(description=AFTER)] = None,
    ) -> SagaConnection:
        """None for a viewer who may see the issue, but not the project's code."""
        asked = SagaFilter(issue_iid=self.found.iid)
        readable = [self.found.project_id] if await may_read(info.context, self.found.project_id) else []
        return await sagas_page(info.context, asked, readable, page_arguments(first, after))

    @classmethod
    def of(cls, found: ports.Issue) -> Self:
        """From the port's issue."""
        return cls(found=found)


@strawberry.type(description="An issue on a page of issues.")
class IssueEdge:
    """As the Relay Cursor Connections specification says."""

    node: Issue = strawberry.field(description="The issue.")
    cursor: str = strawberry.field(description="Its place; `after` takes it.")


@strawberry.type(description="A page of issues, newest first.")
class IssueConnection:
    """Forwards only: GitLab does not say how many there are, nor pages backwards."""

    edges: list[IssueEdge] = strawberry.field(description="The issues of this page.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def of(cls, page: ports.IssuePage, *, has_previous: bool) -> Self:
        """From the port's page."""
        edges = [IssueEdge(node=Issue.of(issue), cursor=_cursor(issue)) for issue in page.issues]
        info = PageInfo(
            has_next_page=page.has_next,
            has_previous_page=has_previous,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        )
        return cls(edges=edges, page_info=info)


def _cursor(issue: ports.Issue) -> str:
    return urlsafe_b64encode(f"issue:{issue.created_at.isoformat()}|{issue.id}".encode()).decode()


def issue_cursor(text: str | None) -> ports.IssueCursor | None:
    """The place that a cursor names; raises the BAD_USER_INPUT error for text that is none of ours."""
    if text is None:
        return None
    try:
        created_at, _, number = urlsafe_b64decode(text.encode()).decode().removeprefix("issue:").partition("|")
        return ports.IssueCursor(datetime.fromisoformat(created_at), int(number))
    except ValueError:
        raise bad_input("after", say("Argument `after` must be a cursor of an earlier page.")) from None

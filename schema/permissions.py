"""Who may see what. Commands check their own rights in `sagas.service`; here stand the rules for reading.

What the viewer may not read is answered as if it did not exist.
"""

from collections.abc import Awaitable, Callable, Sequence

from sagas import models
from sagas.errors import RetryableError
from sagas.ids import ProjectId, SagaId
from sagas.ports import AccessLevel, Issue, IssueCursor, IssuePage, Project
from schema.context import Context


async def may_read(context: Context, project: ProjectId) -> bool:
    """Whether the viewer can read the project's code, and so its sagas and merge requests.

    Raises RetryableError where GitLab must be asked and is away.
    """
    return (await context.backend.access.rights(context.viewer, project)).code


async def may_see_issue(context: Context, issue: Issue) -> bool:
    """Whether GitLab itself would show the viewer this issue, which was read with the service's token.

    A confidential one is for Planners and above, its author and its assignees.
    """
    viewer = context.viewer
    rights = await context.backend.access.rights(viewer, issue.project_id)
    if not rights.issues:
        return False
    concerned = viewer.id == issue.author_id or any(viewer.id == assignee.id for assignee in issue.assignees)
    return not issue.confidential or concerned or rights.level >= AccessLevel.PLANNER


async def may_command(context: Context, project: ProjectId) -> bool:
    """Whether the viewer may start and move sagas there; taken as yes while GitLab is away: the command asks again."""
    if context.viewer.read_only:
        return False
    try:
        return await context.backend.access.level(context.viewer, project) >= AccessLevel.DEVELOPER
    except RetryableError:
        return True


async def readable_saga(context: Context, saga_id: SagaId) -> models.Saga | None:
    """The saga, where it exists and the viewer may see it."""
    context.require_viewer()
    row = await context.loaders.saga.load(saga_id)
    if row is None or not await may_read(context, ProjectId(row.project_id)):
        return None
    return row


async def visible_issue(context: Context, project: ProjectId, iid: int) -> Issue | None:
    """The issue, where it exists and the viewer may see it."""
    if not (await context.backend.access.rights(context.viewer, project)).issues:
        return None
    found = await context.loaders.issue.load((project, iid))
    return found if found is not None and await may_see_issue(context, found) else None


async def readable_project(context: Context, path: str) -> Project | None:
    """The project with this path, where it exists and the viewer may see it."""
    viewer = context.viewer
    project = await context.loaders.project.load(path)
    if project is None or await context.backend.access.level(viewer, project.id) is AccessLevel.NONE:
        return None
    return project


async def readable_projects(context: Context) -> Sequence[ProjectId]:
    """The projects with sagas that the viewer may see."""
    projects = await context.backend.queries.project_ids()
    return sorted(await context.backend.access.readable(context.viewer, projects))


async def visible_issues(
    context: Context,
    fetch: Callable[[int, IssueCursor | None], Awaitable[IssuePage]],
    *,
    first: int,
    after: IssueCursor | None,
) -> IssuePage:
    """A page of those issues that the viewer may see, of a walk that sees what the service's token sees.

    One more than the page is looked for, so that not even `has_next` tells of an issue that may not be seen.
    """
    found: list[Issue] = []
    while True:
        page = await fetch(first + 1, after)
        found += [issue for issue in page.issues if await may_see_issue(context, issue)]
        if len(found) > first or not page.has_next or not page.issues:
            return IssuePage(tuple(found[:first]), has_next=len(found) > first)
        after = IssueCursor(page.issues[-1].created_at, page.issues[-1].id)

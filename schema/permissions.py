"""Who may see what. Commands check their own rights in `sagas.service`; here stand the rules for reading.

What the viewer may not read is answered as if it did not exist.
"""

from collections.abc import Sequence

from sagas import models
from sagas.errors import RetryableError
from sagas.ids import ProjectId, SagaId
from sagas.ports import AccessLevel, Project
from schema.context import Context


async def may_read(context: Context, project: ProjectId) -> bool:
    """Whether the viewer can read the project; raises RetryableError where GitLab must be asked and is away."""
    return await context.backend.access.level(context.viewer, project) > AccessLevel.NONE


async def may_command(context: Context, project: ProjectId) -> bool:
    """Whether the viewer may start and move sagas there; taken as yes while GitLab is away: the command asks again."""
    try:
        return await context.backend.access.level(context.viewer, project) >= AccessLevel.DEVELOPER
    except RetryableError:
        return True


async def readable_saga(context: Context, saga_id: SagaId) -> models.Saga | None:
    """The saga, where it exists and the viewer may see it."""
    viewer = context.viewer
    row = await context.loaders.saga.load(saga_id)
    if row is None or await context.backend.access.level(viewer, ProjectId(row.project_id)) is AccessLevel.NONE:
        return None
    return row


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

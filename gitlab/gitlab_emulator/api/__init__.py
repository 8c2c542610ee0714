"""The REST API, one module per kind of thing."""

from gitlab_emulator.api import (
    branches,
    commit_changes,
    commits,
    files,
    hooks,
    instance,
    issues,
    members,
    merge_requests,
    merging,
    notes,
    pipelines,
    projects,
    protected_branches,
    tokens,
    tree,
    users,
)
from gitlab_emulator.routes import ApiRouter

_PARTS = (
    branches,
    commit_changes,
    commits,
    files,
    hooks,
    instance,
    issues,
    members,
    merge_requests,
    merging,
    notes,
    pipelines,
    projects,
    protected_branches,
    tokens,
    tree,
    users,
)


def api_router() -> ApiRouter:
    """All routes below `/api/v4`."""
    router = ApiRouter()
    for part in _PARTS:
        router.include(part.router)
    return router

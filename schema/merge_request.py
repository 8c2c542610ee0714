"""Merge requests."""

from collections.abc import Mapping
from typing import Any, Self

import strawberry

from sagas import ports
from sagas.ids import ProjectId
from schema.ids import MERGE_REQUEST, global_id
from schema.node import Node


@strawberry.type(description="A GitLab merge request.")
class MergeRequest(Node):
    """How the work on an issue ends."""

    project_id: strawberry.Private[ProjectId]
    iid: int = strawberry.field(description="Its number in the project.")
    title: str = strawberry.field(description="Its title.")
    state: str = strawberry.field(description="GitLab's word: opened, closed, locked or merged.")
    web_url: str = strawberry.field(description="Its page in GitLab.")
    source_branch: str = strawberry.field(description="The branch with the work.")
    target_branch: str = strawberry.field(description="The branch that the work goes into.")

    def node_id(self) -> strawberry.ID:
        """By project and number."""
        return global_id(MERGE_REQUEST, self.project_id, self.iid)

    @classmethod
    def of(cls, found: ports.MergeRequest) -> Self:
        """From the port's merge request."""
        return cls(
            project_id=found.project_id,
            iid=found.iid,
            title=found.title,
            state=found.state,
            web_url=found.web_url,
            source_branch=found.source_branch,
            target_branch=found.target_branch,
        )

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """From `context.mergeRequest` of the saga that opened it."""
        return cls(
            project_id=ProjectId(stored["projectId"]),
            iid=stored["iid"],
            title=stored["title"],
            state=stored["state"],
            web_url=stored["webUrl"],
            source_branch=stored["sourceBranch"],
            target_branch=stored["targetBranch"],
        )

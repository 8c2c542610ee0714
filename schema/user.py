"""People, as GitLab knows them, and what the one who asks may still ask."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

import strawberry

from sagas import ports
from schema.context import Info
from schema.ids import USER, global_id
from schema.resolver import resolver


@strawberry.type(description="A GitLab user.")
class User:
    """Somebody who did something."""

    id: strawberry.ID = strawberry.field(description="Opaque; the same for the same GitLab user.")
    username: str = strawberry.field(description="The login name, without @.")
    name: str | None = strawberry.field(description="The full name; null where GitLab does not tell it.", default=None)
    avatar_url: str | None = strawberry.field(
        description="The address of a picture; null where GitLab has none.", default=None
    )

    @classmethod
    def of(cls, user: ports.User) -> Self:
        """From the port's user."""
        return cls(id=global_id(USER, user.id), username=user.username, name=user.name, avatar_url=user.avatar_url)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """From `saga.started_by`."""
        return cls(
            id=global_id(USER, stored["id"]),
            username=stored["username"],
            name=stored.get("name"),
            avatar_url=stored.get("avatarUrl"),
        )


@strawberry.type(
    description=(
        "What the viewer may ask in a minute, in points: a point is a hundred fields that an operation may answer, and "
        "every operation costs at least one."
    )
)
class RateLimit:
    """The state after the operation that asks for it."""

    limit: int = strawberry.field(description="Points a minute.")
    remaining: int = strawberry.field(description="Points that are left of them, with this operation paid.")
    reset_at: datetime = strawberry.field(description="When all of them are there again.")
    cost: int = strawberry.field(description="Points that this operation cost.")


@strawberry.type(description="The user whose credentials came with the request.")
class Viewer(User):
    """The one who asks."""

    @resolver(description="What the viewer may still ask; operations over it are refused with LIMIT_EXCEEDED.")
    def rate_limit(self, info: Info) -> RateLimit:
        """Counted by each process of the service for itself."""
        state = info.context.rate
        assert state is not None, "charged before anything runs"
        return RateLimit(limit=state.limit, remaining=state.remaining, reset_at=state.reset_at, cost=state.cost)

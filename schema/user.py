"""People, as GitLab knows them."""

from collections.abc import Mapping
from typing import Any, Self

import strawberry

from sagas import ports
from schema.ids import USER, global_id


@strawberry.type(description="A GitLab user.")
class User:
    """Somebody who did something."""

    id: strawberry.ID = strawberry.field(description="Opaque; the same for the same GitLab user.")
    username: str = strawberry.field(description="The login name, without @.")
    name: str | None = strawberry.field(description="The full name.", default=None)
    avatar_url: str | None = strawberry.field(description="The address of a picture.", default=None)

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


@strawberry.type(description="The user whose credentials came with the request.")
class Viewer(User):
    """The one who asks."""

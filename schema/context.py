"""What a resolver gets beside its arguments: who asks, whom to ask, and loaders that live for one operation."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import strawberry

from sagas.errors import SagaError
from sagas.ids import ProjectId
from sagas.ports import User
from sagas.texts import ENGLISH, Language
from schema.backend import Backend
from schema.loaders import Loaders
from schema.rates import RateState


@dataclass
class Context:
    """One operation's surroundings; a websocket's operations each get their own, a subscription's events fresh loaders."""

    backend: Backend
    user: User | SagaError
    """Who asks; the error that says why nobody could be made out."""
    language: Language = ENGLISH
    """The language of titles and messages."""
    cost: int = field(init=False, default=0)
    """What the operation may answer, in fields."""
    rate: RateState | None = field(init=False, default=None)
    """What its user has left after it; None before it was charged."""

    @cached_property
    def loaders(self) -> Loaders:
        """What is loaded through, once for all who ask for the same."""
        return Loaders(self.backend, self._may_see)

    async def _may_see(self, projects: Sequence[ProjectId]) -> Collection[ProjectId]:
        return await self.backend.access.readable(self.viewer, projects)

    def refresh(self) -> None:
        """Forget what was loaded: what comes next is read anew."""
        self.__dict__.pop("loaders", None)

    @property
    def viewer(self) -> User:
        """Whose rights hold; raises the error where nobody's do."""
        if isinstance(self.user, User):
            return self.user
        raise self.user

    def require_viewer(self) -> None:
        """Raise where nobody is asking, for what every user may see."""
        _ = self.viewer


Info: TypeAlias = strawberry.Info[Context, None]

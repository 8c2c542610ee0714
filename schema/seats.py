"""How many subscriptions each user has at once, in this process."""

import weakref
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, Self, TypeVar

from sagas.ports import User
from schema.exceeded import limit_exceeded
from schema.limits import Limits

T = TypeVar("T")


class Seats:
    """Counts the subscriptions of every user."""

    def __init__(self, limits: Limits) -> None:
        self._allowed = limits.subscriptions_per_user
        self._taken: Counter[int] = Counter()

    def taken(self, user: User) -> int:
        """How many the user has."""
        return self._taken[user.id]

    def seat(self, user: User, events: AsyncGenerator[T, None]) -> "Seated[T]":
        """The events, which count as one of the user's subscriptions until they are closed.

        Raises the error LIMIT_EXCEEDED where the user has as many as one may have.
        """
        self._take(user)
        return Seated(events, self, user)

    @asynccontextmanager
    async def held(self, user: User) -> AsyncIterator[None]:
        """One subscription of the user's, for as long as the context lasts; raises as `seat` does."""
        self._take(user)
        try:
            yield
        finally:
            self.leave(user.id)

    def _take(self, user: User) -> None:
        wanted = self._taken[user.id] + 1
        if wanted > self._allowed:
            raise limit_exceeded("subscriptionsPerUser", allowed=self._allowed, value=wanted)
        self._taken[user.id] = wanted

    def leave(self, user_id: int) -> None:
        """One subscription less."""
        self._taken[user_id] -= 1
        if not self._taken[user_id]:
            del self._taken[user_id]


class Seated(AsyncIterator[T], Generic[T]):
    """A stream that holds a seat.

    Not a generator: one that is closed before it began would never come to its `finally`.
    """

    def __init__(self, events: AsyncGenerator[T, None], seats: Seats, user: User) -> None:
        self._events = events
        # Once, whether it ends, is closed, or is forgotten.
        self._leave = weakref.finalize(self, seats.leave, user.id)

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> T:
        """The next event; whatever ends the stream gives the seat back."""
        try:
            return await anext(self._events)
        except BaseException:
            self._leave()
            raise

    async def aclose(self) -> None:
        """End the stream."""
        self._leave()
        await self._events.aclose()

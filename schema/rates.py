"""How much each user may ask a minute, in points, as `viewer.rateLimit` and the headers of answers tell it.

A point is a hundred fields that an operation may answer; every operation costs at least one. Points are counted per
process, over fixed minutes, by the library `limits`. Subscriptions cost when they begin; their events are free.
"""

import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from graphql import GraphQLError
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from strawberry.extensions import SchemaExtension

from sagas.errors import SagaError
from sagas.ports import User
from schema.exceeded import limit_exceeded

FIELDS_PER_POINT = 100


@dataclass(frozen=True, slots=True)
class RateState:
    """What a user has left, after the operation that it is told with."""

    limit: int
    remaining: int
    reset_at: datetime
    cost: int
    """Of that operation."""
    exceeded: bool = False

    @property
    def reset_in_s(self) -> int:
        """Whole seconds until all is there again, at least one."""
        return max(1, math.ceil(self.reset_at.timestamp() - time.time()))


class Rates:
    """Counts the points of every user."""

    def __init__(self, per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(per_minute)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def charge(self, user: User, points: int) -> RateState:
        """Take the points where there are as many; a refused operation costs nothing."""
        key = str(user.id)
        exceeded = not await self._limiter.test(self._item, key, cost=points)
        if not exceeded:
            await self._limiter.hit(self._item, key, cost=points)
        reset, remaining = await self._limiter.get_window_stats(self._item, key)
        return RateState(self._item.amount, remaining, datetime.fromtimestamp(reset, UTC), points, exceeded)


class Counts(Protocol):
    """The backend, as far as it counts."""

    @property
    def rates(self) -> Rates:
        """The points of every user."""


class Charged(Protocol):
    """The context of an operation, as far as it is charged."""

    cost: int
    rate: RateState | None

    @property
    def user(self) -> User | SagaError:
        """Who asks."""

    @property
    def backend(self) -> Counts:
        """Where it is counted."""


class RateLimit(SchemaExtension):
    """Charges each operation that passed validation to its user, before anything of it runs."""

    async def on_validate(self) -> AsyncIterator[None]:
        """After the document's own limits: what is refused by them is free."""
        execution = self.execution_context
        if not execution.pre_execution_errors:
            try:
                await charge(execution.context)
            except GraphQLError as refusal:
                execution.pre_execution_errors = [refusal]
        yield


async def charge(context: Charged) -> None:
    """Charge an operation that costs `context.cost` to its user and keep what is left in `context.rate`.

    Raises the error LIMIT_EXCEEDED where too little is left. An operation of nobody is free: it gets nothing.
    """
    if not isinstance(context.user, User):
        return
    points = max(1, math.ceil(context.cost / FIELDS_PER_POINT))
    context.rate = state = await context.backend.rates.charge(context.user, points)
    if state.exceeded:
        raise over_rate(state)


def over_rate(state: RateState) -> GraphQLError:
    """The error that tells what is left, and when to come again."""
    return limit_exceeded(
        "rate", allowed=state.limit, value=state.cost, remaining=state.remaining, retryAfter=state.reset_in_s
    )

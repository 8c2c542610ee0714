"""Live progress. What is delivered comes from the journal and the saga's row; hints only tell when to look.

A subscription outlives a database that is away: it waits, and goes on where it was, without a gap.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Annotated, ParamSpec, TypeVar

import strawberry

from sagas import models
from sagas.errors import RetryableError
from sagas.ids import ProjectId, SagaId
from sagas.ports import Watch
from sagas.texts import say
from schema import ids
from schema.context import Context, Info
from schema.errors import VERSION_AHEAD, api_error, bad_input, is_database_away, not_found
from schema.event import SagaEvent
from schema.filters import SagaFilter, saga_filter_of
from schema.following import Following
from schema.live import PAGE
from schema.permissions import may_read, readable_saga
from schema.resolver import subscription
from schema.saga import Saga, saga_of

log = logging.getLogger(__name__)
T = TypeVar("T")
P = ParamSpec("P")

SAGA_ID = "The saga."
LONGEST_PAUSE_S = 3.0
RECHECK_S = 30.0
"""How often a subscription without news asks whether its viewer may still see the saga."""


@strawberry.type(description="What is told as it happens, over graphql-transport-ws.")
class Subscription:
    """Each subscription checks first and then streams: a refusal ends it with an `error` message."""

    @subscription(
        description=(
            "The saga's events after afterVersion (0: from the first), then live: in order, each once, none missing, also "
            "across a reconnect. Completes after COMPLETED or CANCELLED, not after FAILED. An afterVersion above the saga's "
            "version is an error with code VERSION_AHEAD: start again from 0."
        )
    )
    async def saga_events(
        self,
        info: Info,
        saga_id: Annotated[strawberry.ID, strawberry.argument(description=SAGA_ID)],
        after_version: Annotated[
            int | None, strawberry.argument(description="The newest version that the client has seen; 0: none.")
        ] = 0,
    ) -> AsyncIterator[SagaEvent]:
        """Gap-free: versions run without a gap, and each read goes on from the last one delivered."""
        after = after_version or 0
        if after < 0:
            raise bad_input("afterVersion", say("Argument `afterVersion` must be 0 or more, not {after}.", after=after))
        row = await _watched(info.context, saga_id)
        if after > row.version:
            message = say(
                "The saga is at version {version}, not yet at {after}: start again from 0.",
                version=row.version,
                after=after,
            )
            raise api_error(VERSION_AHEAD, message, version=row.version)
        return _seated(info, _events(info.context, row, after))

    @subscription(
        description=(
            "The saga as it is now, then its latest state whenever that changes; a slow reader skips intermediate states, "
            "never the last. Completes like sagaEvents."
        )
    )
    async def saga_updated(
        self, info: Info, saga_id: Annotated[strawberry.ID, strawberry.argument(description=SAGA_ID)]
    ) -> AsyncIterator[Saga]:
        """Conflated: nothing is queued, the row is read when the reader is ready."""
        row = await _watched(info.context, saga_id)
        return _seated(info, _states(info.context, row))

    @subscription(
        description=(
            "Every saga that matched before the change or matches after it, in its latest state; no initial states: "
            "subscribe, then query."
        )
    )
    async def sagas_updated(
        self,
        info: Info,
        given: Annotated[SagaFilter | None, strawberry.argument(name="filter", description="Which sagas.")] = None,
    ) -> AsyncIterator[Saga]:
        """Conflated per saga."""
        asked = saga_filter_of(given, info.context.viewer)
        return _seated(info, _changed_sagas(info.context, Following(info.context, asked)))


def _seated(info: Info, events: AsyncGenerator[T, None]) -> AsyncIterator[T]:
    return info.context.backend.seats.seat(info.context.viewer, events)


async def _watched(context: Context, given: str) -> models.Saga:
    row = await readable_saga(context, ids.saga_id(given, "sagaId"))
    if row is None:
        raise not_found(say("The saga"))
    return row


async def _events(context: Context, row: models.Saga, after: int) -> AsyncGenerator[SagaEvent, None]:
    saga, live = SagaId(row.id), context.backend.live
    if after == row.version and not row.status.live:
        return
    async with context.backend.feed.watch(saga) as watch:
        while True:
            page = await patiently(live.events, saga, after)
            if page:
                await _still_allowed(context, row)
            for event in page:
                after = event.version
                context.refresh()
                yield SagaEvent.of(event)
                if not event.status.live:
                    return
            if len(page) < PAGE:
                await _news(context, row, watch)


async def _states(context: Context, row: models.Saga) -> AsyncGenerator[Saga, None]:
    saga, live = SagaId(row.id), context.backend.live
    shown = 0
    async with context.backend.feed.watch(saga) as watch:
        while True:
            now = await patiently(live.saga, saga)
            if now is None:
                return
            if now.version > shown:
                await _still_allowed(context, now)
                shown = now.version
                yield await _fresh(context, now)
            if not now.status.live:
                return
            await _news(context, now, watch)


async def _changed_sagas(context: Context, following: Following) -> AsyncGenerator[Saga, None]:
    async with context.backend.feed.watch() as watch:
        await patiently(following.begin)
        while True:
            changed = await watch.changed()
            for row in await patiently(following.news, changed):
                yield await _fresh(context, row)


async def _news(context: Context, row: models.Saga, watch: Watch) -> None:
    """Wait for news; a viewer who loses read access meanwhile is not left waiting."""
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(RECHECK_S):
                await watch.changed()
                return
        await _still_allowed(context, row)


async def _fresh(context: Context, row: models.Saga) -> Saga:
    context.refresh()
    context.loaders.saga.prime(SagaId(row.id), row)
    return await saga_of(context, row)


async def _still_allowed(context: Context, row: models.Saga) -> None:
    await still_readable(context, ProjectId(row.project_id))


async def still_readable(context: Context, project: ProjectId) -> None:
    """End the subscription of a viewer who has lost read access; while GitLab is away, its last answer stands."""
    try:
        allowed = await may_read(context, project)
    except RetryableError:
        return
    if not allowed:
        raise not_found(say("The saga"))


async def patiently(read: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Read again until the database answers."""
    pause = 0.1
    while True:
        try:
            return await read(*args, **kwargs)
        except Exception as failure:
            if not isinstance(failure, RetryableError) and not is_database_away(failure):
                raise
            log.warning("a subscription waits for the database: %s", failure)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_S)

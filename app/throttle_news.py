"""Telling other processes that GitLab wants to be left alone: its quota is the token's, whichever process asks.

A message may be lost: then a process is told so by its own next 429.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broadcaster import Broadcast

from gitlab_facade.throttle import Throttle

logger = logging.getLogger(__name__)

CHANNEL = "gitlab_throttle"


@asynccontextmanager
async def shared(throttle: Throttle, broadcast: Broadcast) -> AsyncIterator[None]:
    """Within the block, wishes that this process is told go to the others, and theirs are heard."""
    loop, telling = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    def tell(seconds: float) -> None:
        task = loop.create_task(_publish(broadcast, seconds))
        telling.add(task)
        task.add_done_callback(telling.discard)

    def tell_from_thread(seconds: float) -> None:
        loop.call_soon_threadsafe(tell, seconds)

    throttle.tell = tell_from_thread
    listening = asyncio.create_task(_listen(throttle, broadcast), name="listen for GitLab's wishes")
    try:
        yield
    finally:
        throttle.tell = None
        for task in (listening, *telling):
            task.cancel()
        await asyncio.gather(listening, *telling, return_exceptions=True)


async def _publish(broadcast: Broadcast, seconds: float) -> None:
    try:
        await broadcast.publish(CHANNEL, f"{seconds:.3f}")
    except Exception as failure:  # noqa: BLE001 - whatever transport is behind it: a message may be lost
        logger.info("other processes were not told of GitLab's wish: %s", failure)


async def _listen(throttle: Throttle, broadcast: Broadcast) -> None:
    async with broadcast.subscribe(channel=CHANNEL) as subscriber:
        while True:
            event = await subscriber.get()
            seconds = _seconds(event.message)
            if seconds is not None:
                throttle.hear(seconds)


def _seconds(message: str) -> float | None:
    # The transport's own "read again" says nothing here.
    try:
        seconds = float(message)
    except ValueError:
        return None
    return seconds if seconds > 0 else None

"""No query or mutation runs for longer than the deadline; of a subscription only its beginning is meant."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from strawberry.extensions import SchemaExtension

from schema.exceeded import limit_exceeded
from schema.limits import Limits


class Deadline(SchemaExtension):
    """Ends what takes too long. Commands finish their transaction all the same: cancellation does not reach them."""

    async def on_execute(self) -> AsyncIterator[None]:
        """Around the execution, whatever the transport."""
        async with within_deadline(self.execution_context.context.backend.limits):
            yield


@asynccontextmanager
async def within_deadline(limits: Limits) -> AsyncIterator[None]:
    """End what is done here when its time is over, with the error that says so."""
    seconds = limits.deadline.total_seconds()
    try:
        async with asyncio.timeout(seconds) as deadline:
            yield
    except TimeoutError:
        if not deadline.expired():
            raise
        raise limit_exceeded("deadline", allowed=seconds, value=seconds) from None

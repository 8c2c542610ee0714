"""An engine at work in a process: started, named in logs, stopped in time. It loads nothing of the API."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from app.logs import bound
from sagas.engine import Engine
from sagas.models import Saga
from sagas.results import StepResult

log = logging.getLogger(__name__)

STOP_PATIENCE_S = 10.0
"""Longer than an engine's own grace for steps under way."""


async def named_in_logs(saga: Saga, attempt: Callable[[], Awaitable[StepResult]]) -> StepResult:
    """What a step logs, wherever it does, names its saga."""
    with bound(saga_id=saga.id, step=f"{saga.state}/{saga.visit}"):
        return await attempt()


@asynccontextmanager
async def running(engine: Engine, *, patience: float = STOP_PATIENCE_S) -> AsyncIterator[None]:
    """The engine at work; at the end it hands over what is under way, within `patience` seconds.

    An engine that fails is logged when it does, and its error is raised at the end.
    """
    task = asyncio.create_task(engine.run(), name="engine")
    task.add_done_callback(_complain)
    try:
        yield
    finally:
        engine.stop()
        await asyncio.wait({task}, timeout=patience)
        if not task.done():
            # Leases run out by themselves: better to end late work hard than never to end.
            log.warning("the engine did not stop within %g s; it is cancelled", patience)
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (failure := task.exception()) is not None:
        log.critical("the engine of this process has failed", exc_info=failure)

"""Database work in a task of its own: whoever asked may leave, the work ends, and its failure makes no noise."""

import asyncio
import gc
from typing import Any

import pytest

from sagas.store.database import in_own_task
from tests.support import eventually


async def test_a_failure_that_nobody_waits_for_any_more_is_not_logged_as_never_retrieved() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    running: set[asyncio.Task[Any]] = set()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def fails() -> None:
        begun.set()
        await go_on.wait()
        raise OSError("the database went away")

    caller = asyncio.create_task(in_own_task(fails(), running))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert running, "the work goes on without its caller"
    go_on.set()
    await eventually(lambda: not running)
    gc.collect()
    assert told == []


async def test_a_caller_that_waits_gets_the_failure() -> None:
    running: set[asyncio.Task[Any]] = set()

    async def fails() -> None:
        raise OSError("the database went away")

    with pytest.raises(OSError, match="went away"):
        await in_own_task(fails(), running)
    assert not running

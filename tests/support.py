"""Helpers that every kind of test uses."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(
    check: Callable[[], Awaitable[T | None]], *, timeout: float = 10.0, every: float = 0.05, what: str = ""
) -> T: ...
@overload
async def eventually(
    check: Callable[[], T | None], *, timeout: float = 10.0, every: float = 0.05, what: str = ""
) -> T: ...
async def eventually(check: Callable[[], Any], *, timeout: float = 10.0, every: float = 0.05, what: str = "") -> Any:
    """Call `check` until it returns something true and return that; an AssertionError inside counts as "not yet".

    Raises AssertionError after `timeout` seconds, with the last failure in its text.
    """
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            value = check()
            if inspect.isawaitable(value):
                value = await value
            if value:
                return value
            last = value
        except AssertionError as failure:
            last = failure
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout} s: {what or check!r}; last seen: {last!r}")
        await asyncio.sleep(every)


def eventually_sync(check: Callable[[], T], *, timeout: float = 10.0, every: float = 0.05, what: str = "") -> T:
    """`eventually` for tests that run without an event loop."""
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            value = check()
            if value:
                return value
            last = value
        except AssertionError as failure:
            last = failure
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout} s: {what or check!r}; last seen: {last!r}")
        time.sleep(every)

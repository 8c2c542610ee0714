"""Strawberry's DataLoader, made safe for those who stop waiting."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from strawberry.dataloader import DataLoader

K = TypeVar("K")
T = TypeVar("T")


class Batching(DataLoader[K, T]):
    """A loader whose batches outlive whoever gave up on them.

    Strawberry cancels a batch that nobody waits for any more. Where that comes before the batch began, it stays the
    current one: whoever asks next joins it, and waits for ever.
    """

    def load(self, key: K) -> Awaitable[T]:
        """The value; giving up on it cancels nothing but the waiting."""
        answer = asyncio.ensure_future(super().load(key))
        answer.add_done_callback(_seen)
        return asyncio.shield(answer)


def _seen(answer: "asyncio.Future[T]") -> None:
    # An error that nobody waits for any more is no complaint.
    if not answer.cancelled():
        answer.exception()

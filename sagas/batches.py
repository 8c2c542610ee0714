"""Group commit without a timer: what gathers while one transaction is under way goes out together in the next.

A lone item waits for nothing. Items that the database refuses together are tried again one by one, so that a poisoned
one takes no other with it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context
from typing import Generic, TypeVar, cast

from sagas.errors import RetryableError

Item = TypeVar("Item")
Answer = TypeVar("Answer")

LARGEST = 64
AT_ONCE = 2
ENOUGH = 16


class Batches(Generic[Item, Answer]):
    """Writes items in shared transactions, at most two of them under way at a time.

    While PostgreSQL writes one, the other is decided. The second sets out only with as many items as would keep it from
    being a waste: few items are cheaper together.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | Exception]]],
        *,
        apart: Callable[[Item], Hashable] | None = None,
    ) -> None:
        """`write` takes one batch through its transaction and returns an answer, or its refusal, for each item.

        Of the items that are equal by `apart`, no two are under way at once: the later decides on what the earlier left.
        """
        self._write = write
        self._apart = apart
        self._pending: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._flushing: set[asyncio.Task[None]] = set()
        self._under_way: set[Hashable] = set()

    async def add(self, item: Item) -> Answer:
        """Have the item written; returns its answer, or raises its refusal.

        It is written also where the caller is cancelled meanwhile.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._pending.append((item, answer))
        if not self._flushing or (len(self._flushing) < AT_ONCE and len(self._pending) >= ENOUGH):
            # In no caller's context: it works for all of them.
            self._flushing.add(asyncio.create_task(self._flush(), context=Context()))
        return await answer

    async def aclose(self) -> None:
        """Stop writing; whose item was under way is cancelled, and what had to wait stays unanswered."""
        flushing = tuple(self._flushing)
        for task in flushing:
            task.cancel()
        await asyncio.gather(*flushing, return_exceptions=True)

    async def _flush(self) -> None:
        try:
            while batch := self._next():
                await self._write_one(batch)
        finally:
            # In the same breath as the last look at what is pending: whoever adds now must set out by himself. Also where
            # it was cut off: one that is gone must not be waited for.
            self._flushing.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _write_one(self, batch: Sequence[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            await self._write_together(batch)
        except RetryableError as away:
            _refuse(batch, away)
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as failure:  # noqa: BLE001 - whatever it is, each item must get its answer
            await self._write_each(batch, failure)
        finally:
            if self._apart is not None:
                self._under_way.difference_update(self._apart(item) for item, _ in batch)

    def _next(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        if self._apart is None:
            batch, self._pending = self._pending[:LARGEST], self._pending[LARGEST:]
            return batch
        taken, batch, left = set(self._under_way), [], []
        for entry in self._pending:
            mark = self._apart(entry[0])
            if mark in taken or len(batch) == LARGEST:
                left.append(entry)
            else:
                batch.append(entry)
                self._under_way.add(mark)
            # Also of what is left: no later one may overtake it.
            taken.add(mark)
        self._pending = left
        return batch

    async def _write_each(self, batch: Sequence[tuple[Item, asyncio.Future[Answer]]], failure: Exception) -> None:
        if len(batch) == 1:
            _refuse(batch, failure)
            return
        for entry in batch:
            try:
                await self._write_together([entry])
            except Exception as own:  # noqa: BLE001 - told to the item's own owner
                _refuse([entry], own)

    async def _write_together(self, batch: Sequence[tuple[Item, asyncio.Future[Answer]]]) -> None:
        answers = await self._write([item for item, _ in batch])
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def _refuse(batch: Sequence[tuple[Item, asyncio.Future[Answer]]], failure: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(failure)

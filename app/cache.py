"""A small cache of answers from outside: bounded, short-lived, and asking only once however many wait."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class AnswerCache(Generic[K, V]):
    """Keeps up to `size` answers for `ttl` seconds each; errors are not kept."""

    def __init__(self, *, ttl: float, size: int) -> None:
        self._ttl, self._size = ttl, size
        self._answers: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._asking: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        """The answer to `key`, from the cache or by `ask`; callers who wait for the same key share one question.

        A caller who gives up does not take the question away from the others.
        """
        known = self._answers.get(key)
        if known is not None and known[0] > time.monotonic():
            self._answers.move_to_end(key)
            return known[1]
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key, ask))
            task.add_done_callback(_take_note)
        return await asyncio.shield(task)

    def forget(self) -> None:
        """Drop everything; answers still under way are not kept either."""
        self._answers.clear()
        self._asking.clear()

    async def _ask(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        me = asyncio.current_task()
        try:
            answer = await ask()
            if self._asking.get(key) is me:
                self._keep(key, answer)
            return answer
        finally:
            if self._asking.get(key) is me:
                del self._asking[key]

    def _keep(self, key: K, answer: V) -> None:
        self._answers[key] = (time.monotonic() + self._ttl, answer)
        self._answers.move_to_end(key)
        while len(self._answers) > self._size:
            self._answers.popitem(last=False)


def _take_note(task: "asyncio.Task[V]") -> None:
    """Look at the task's error, which asyncio would else report as lost where every caller gave up."""
    if not task.cancelled():
        task.exception()

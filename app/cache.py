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
        known = self._fresh(key)
        if known is not None:
            return known[1]
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key, ask))
            task.add_done_callback(_take_note)
        return await asyncio.shield(task)

    def known(self, key: K) -> V | None:
        """The answer to `key`, where there is one that is not too old."""
        found = self._fresh(key)
        return None if found is None else found[1]

    def has_known(self, key: K) -> bool:
        """Whether there is an answer to `key`, be it too old by now."""
        return key in self._answers

    def forget(self) -> None:
        """Drop everything; answers still under way are not kept either."""
        self._answers.clear()
        self._asking.clear()

    def _fresh(self, key: K) -> tuple[float, V] | None:
        known = self._answers.get(key)
        if known is None or known[0] <= time.monotonic():
            return None
        self._answers.move_to_end(key)
        return known

    async def _ask(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        me = asyncio.current_task()
        try:
            answer = await ask()
            if self._asking.get(key) is me:
                self.keep(key, answer)
            return answer
        finally:
            if self._asking.get(key) is me:
                del self._asking[key]

    def keep(self, key: K, answer: V) -> None:
        """Take note of an answer."""
        self._answers[key] = (time.monotonic() + self._ttl, answer)
        self._answers.move_to_end(key)
        while len(self._answers) > self._size:
            self._answers.popitem(last=False)


def _take_note(task: "asyncio.Task[V]") -> None:
    """Look at the task's error, which asyncio would else report as lost where every caller gave up."""
    if not task.cancelled():
        task.exception()

"""Subscribers that record everything they are told, over breaks of any kind, and some that hang up themselves."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from itertools import count

from app.demo.client import ApiError, Data, UnavailableError, bare_id
from tests.chaos.client import HonestClient
from tests.chaos.history import Ended, Subscribed, Told, now

_EVENTS = """
subscription Events($sagaId: ID!, $afterVersion: Int) {
  sagaEvents(sagaId: $sagaId, afterVersion: $afterVersion) { version type toState status }
}
"""
_UPDATES = "subscription Updates($sagaId: ID!) { sagaUpdated(sagaId: $sagaId) { version state status } }"
_HANGS_UP = 0.04
"""How likely a subscriber hangs up after an event and comes back."""
_AWAY = frozenset({"GITLAB_UNAVAILABLE", "DATABASE_UNAVAILABLE"})


class Subscribers:
    """All subscribers of a run."""

    def __init__(self, client: HonestClient, chance: random.Random) -> None:
        self._client = client
        self._chance = chance
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self.resumed = 0

    def follow(self, saga_id: str, heard: Callable[[str], None] = lambda _: None) -> None:
        """Subscribe to `sagaEvents` until the server completes it; `heard` gets each event's status."""
        self._start(self._run("sagaEvents", saga_id, heard))

    def watch(self, saga_id: str) -> None:
        """Subscribe to `sagaUpdated` until the server completes it."""
        self._start(self._run("sagaUpdated", saga_id, lambda _: None))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finished(self) -> None:
        """Wait until the server has completed all of them."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def stop(self) -> None:
        """End those that are still there."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, field: str, saga_id: str, heard: Callable[[str], None]) -> None:
        number, saga, after, tape = next(self._numbers), bare_id(saga_id), 0, self._client.tape
        while True:
            tape.write(Subscribed(now(), number, field, saga, after))
            query, given = _EVENTS, {"sagaId": saga_id, "afterVersion": after}
            if field == "sagaUpdated":
                query, given = _UPDATES, {"sagaId": saga_id}
            how = "completed"
            try:
                async with aclosing(self._client.api.subscribe(query, given)) as results:
                    async for result in results:
                        told: Data = result[field]
                        state = told.get("toState") or told["state"]
                        tape.write(
                            Told(now(), number, saga, told["version"], state, told["status"], told.get("type", ""))
                        )
                        after = told["version"]
                        heard(told["status"])
                        if self._chance.random() < _HANGS_UP:
                            how = "left"
                            break
            except UnavailableError:
                how = "broken"
            except ApiError as refusal:
                how = "broken" if refusal.code in _AWAY else refusal.code
            tape.write(Ended(now(), number, how))
            if how == "completed":
                return
            self.resumed += 1
            await asyncio.sleep(self._chance.uniform(0.1, 0.8))

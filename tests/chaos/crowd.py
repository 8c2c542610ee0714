"""The users of the engine-only sagas: many short sagas at a steady pace, started and advanced over the public API."""

import asyncio
from collections.abc import Mapping
from typing import Any

from app.demo.client import bare_id
from tests.chaos.client import HonestClient
from tests.chaos.engine_only import CALCULATION, DEFINITION, FORM, PROJECT_PATH, VALUES
from tests.chaos.plan import Plan
from tests.chaos.subscribers import Subscribers

AT_ONCE = 24
"""Requests under way at the same moment."""
UNDER_WAY = 300
"""Sagas that are not over yet: a closed loop, as real users are."""
SHARE_OF_TIME = 0.85
"""The starts are spread over this share of the time in which there are faults."""
_PAGE = """
query Page($path: ID!, $definition: String!) {
  live: sagas(filter: {projectPath: $path, definition: $definition, statuses: [RUNNING, AWAITING_INPUT,
    AWAITING_RESULT, PAUSED, FAILED, CANCELLING]}, first: 1) { totalCount }
  waiting: sagas(filter: {projectPath: $path, definition: $definition, statuses: [AWAITING_INPUT]}, last: 100) {
    edges { node { id } }
  }
}
"""


class Crowd:
    """Starts what the plan says, advances or cancels what waits, and ends when nothing is live any more."""

    def __init__(self, plan: Plan, client: HonestClient, subscribers: Subscribers) -> None:
        self._plan = plan
        self._client = client
        self._subscribers = subscribers
        self._numbers: dict[str, int] = {}
        self._answering: set[str] = set()
        self._live = 0
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._room = asyncio.Event()

    async def play(self) -> None:
        """All of them, from start to end."""
        self._room.set()
        async with asyncio.TaskGroup() as group:
            starting = group.create_task(self._start_all())
            while not starting.done() or self._live or self._answering:
                await self._look(group)
                await asyncio.sleep(0.3)

    async def _start_all(self) -> None:
        options = self._plan.options
        pause = options.seconds * SHARE_OF_TIME / max(1, options.sagas)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.TaskGroup() as group:
            for number in range(options.sagas):
                await asyncio.sleep(max(0.0, begun + number * pause - loop.time()))
                await self._room.wait()
                await self._at_once.acquire()
                group.create_task(self._start(number))

    async def _start(self, number: int) -> None:
        try:
            given = {
                "projectPath": PROJECT_PATH,
                "branch": f"line-{number}",
                "calculation": CALCULATION,
                "values": {"number": number},
            }
            times = 2 if number in self._plan.twice else 1
            starts = (self._client.change("runCalculation", f"line/{number}", given) for _ in range(times))
            answer = (await asyncio.gather(*starts))[0]
        finally:
            self._at_once.release()
        if answer.refused:
            return
        saga_id = answer.saga_id
        self._numbers[saga_id] = number
        if number in self._plan.followed:
            self._subscribers.follow(saga_id)

    async def _look(self, group: asyncio.TaskGroup) -> None:
        page = await self._client.ask(_PAGE, {"path": PROJECT_PATH, "definition": DEFINITION})
        self._live = page["live"]["totalCount"]
        if self._live < UNDER_WAY:
            self._room.set()
        else:
            self._room.clear()
        for edge in page["waiting"]["edges"]:
            saga_id = edge["node"]["id"]
            # One whose start was not answered yet is left for the next look.
            if saga_id in self._numbers and saga_id not in self._answering:
                self._answering.add(saga_id)
                await self._at_once.acquire()
                group.create_task(self._answer(saga_id))

    async def _answer(self, saga_id: str) -> None:
        try:
            if self._numbers[saga_id] in self._plan.cancelled:
                await self._client.change("cancelSaga", f"{bare_id(saga_id)}/cancel", {"sagaId": saga_id})
            else:
                given: Mapping[str, Any] = {"sagaId": saga_id, "step": FORM, "values": VALUES}
                await self._client.change("advanceSaga", f"{bare_id(saga_id)}/{FORM}", given)
        finally:
            self._at_once.release()
            self._answering.discard(saga_id)

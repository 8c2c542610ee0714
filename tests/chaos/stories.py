"""The users of the Balance sagas: each follows one saga from the start of its issue to the merge request, or gives it up."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from app.demo.client import Data, bare_id
from app.demo.sample import user_inputs
from tests.chaos.client import HonestClient
from tests.chaos.colleague import Colleague
from tests.chaos.plan import Cancel, Foreign, Story
from tests.chaos.stack import Job
from tests.chaos.subscribers import Subscribers

_SAGA = """
query Saga($id: ID!) {
  saga(id: $id) {
    status state version branch error { code }
    pendingInput { step draft expectedVersion calculation { name } }
  }
}
"""
_CONDENSER_FORM = "AWAIT_USER_CONDENSER_INPUT"
_CALCULATES = "AWAIT_CONDENSER_RESULT"
_LOOK_S = 5.0
"""A user who hears nothing looks again after so long: whether subscriptions tell everything is for the checker to say."""
_LATER = frozenset({"AWAITING_INPUT", "FAILED", "COMPLETED", "CANCELLED", "AWAITING_RESULT"})


@dataclass
class Balance:
    """One story."""

    story: Story
    job: Job
    client: HonestClient
    subscribers: Subscribers
    colleague: Colleague
    chance: random.Random
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _tries: int = 0
    _edited: bool = False

    async def play(self) -> None:
        """To the end of the saga, and of its merge request."""
        saga_id = await self._start()
        for _ in range(self.story.followers):
            self.subscribers.follow(saga_id, self._heard)
        self.subscribers.watch(saga_id)
        while True:
            self._news.clear()
            saga: Data = (await self.client.ask(_SAGA, {"id": saga_id}))["saga"]
            if saga["status"] in {"COMPLETED", "CANCELLED"}:
                break
            await self._act(saga_id, saga)
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._news.wait()
            except TimeoutError:
                pass
        if saga["status"] == "COMPLETED":
            given = {"projectPath": self.job.project, "sourceBranch": saga["branch"], "issueIid": self.job.iid}
            await self.client.change("createMergeRequest", f"merge/{self.story.number}", given)

    def _heard(self, status: str) -> None:
        if status in _LATER:
            self._news.set()

    async def _start(self) -> str:
        given = {"projectPath": self.job.project, "issueIid": self.job.iid}
        times = 2 if self.story.twice else 1
        key = f"balance/{self.story.number}"
        while True:
            starts = (self.client.change("startBalanceCalculation", key, given) for _ in range(times))
            answer = (await asyncio.gather(*starts))[0]
            if not answer.refused:
                return answer.saga_id
            await asyncio.sleep(1)

    async def _act(self, saga_id: str, saga: Data) -> None:
        if saga["status"] == "FAILED":
            await self._go_back(saga_id)
        elif self._gives_up(saga):
            await self.client.change("cancelSaga", f"{bare_id(saga_id)}/cancel", {"sagaId": saga_id})
        elif saga["status"] == "AWAITING_INPUT":
            await self._fill_in(saga_id, saga)
        elif saga["state"] == _CALCULATES and self.story.foreign is Foreign.INPUT and not self._edited:
            await self._edit(saga, "condenser_input.json")

    def _gives_up(self, saga: Data) -> bool:
        at_form = self.story.cancel is Cancel.FORM and saga["status"] == "AWAITING_INPUT"
        at_result = self.story.cancel is Cancel.RESULT and saga["status"] == "AWAITING_RESULT"
        return at_form or at_result

    async def _fill_in(self, saga_id: str, saga: Data) -> None:
        form = saga["pendingInput"]
        if form is None:
            return
        if form["step"] == _CONDENSER_FORM and not self._edited and self.story.foreign is Foreign.NOTE:
            await self._edit(saga, f"notes-{self.story.number}.md")
        if form["step"] == _CONDENSER_FORM and not self._edited and self.story.foreign is Foreign.DRAFT:
            await self._edit(saga, "condenser_input.json")
        self._tries += 1
        key = f"{bare_id(saga_id)}/{form['step']}/{self._tries}"
        given: dict[str, Any] = {
            "sagaId": saga_id,
            "step": form["step"],
            "values": user_inputs(form["calculation"]["name"], form["draft"]),
            "expectedVersion": form["expectedVersion"],
        }
        await self.client.change("advanceSaga", key, given)

    async def _go_back(self, saga_id: str) -> None:
        self._tries += 1
        given = {"sagaId": saga_id, "fromStep": _CONDENSER_FORM}
        answer = await self.client.change("retrySaga", f"{bare_id(saga_id)}/retry/{self._tries}", given)
        if answer.refused:
            await self.client.change("retrySaga", f"{bare_id(saga_id)}/again/{self._tries}", {"sagaId": saga_id})

    async def _edit(self, saga: Data, path: str) -> None:
        self._edited = True
        await self.colleague.edit(self.job.project_id, saga["branch"], path, self.chance.randint(10, 25))

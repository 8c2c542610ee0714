"""An honest client: it repeats whatever got no answer, under the same key, at any of the APIs, and records all of it."""

import asyncio
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Self

from app.demo.client import ApiError, Data, GraphQLClient, UnavailableError, bare_id
from tests.chaos.history import Answered, Asked, Refused, Tape, Unanswered, hash_of, now

PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.5)
"""Before each repetition; the last one for all further ones."""

QUERY = "query"
"""What stands for the mutation in the record of a refused query."""
_SAGA = "id status state version"
_INPUTS = {"pauseSaga": "SagaActionInput", "resumeSaga": "SagaActionInput"}
"""Where two mutations share their input."""


def document(mutation: str) -> str:
    """The GraphQL text of a mutation that answers with its saga, or its merge request."""
    kind = _INPUTS.get(mutation, mutation[0].upper() + mutation[1:] + "Input")
    what = "mergeRequest { iid }" if mutation == "createMergeRequest" else f"saga {{ {_SAGA} }}"
    fields = f"created {what} userErrors {{ code message field }}"
    return f"mutation Change($input: {kind}!) {{ {mutation}(input: $input) {{ {fields} }} }}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a mutation was answered in the end: a saga (by its API id) or a merge request, or a refusal's code."""

    saga_id: str = ""
    merge_request: int = 0
    refused: str = ""


@dataclass
class HonestClient:
    """One user at all APIs."""

    urls: list[str]
    tape: Tape
    chance: random.Random
    repeated: int = 0
    _apis: list[GraphQLClient] = field(default_factory=list)
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)
    _requests: "count[int]" = field(default_factory=lambda: count(1))

    async def __aenter__(self) -> Self:
        self._apis = [await self._open.enter_async_context(GraphQLClient(url, timeout=20)) for url in self.urls]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    @property
    def api(self) -> GraphQLClient:
        """Any of them, as a load balancer would choose."""
        return self.chance.choice(self._apis)

    async def ask(self, query: str, variables: Mapping[str, object]) -> Data:
        """The data of a query, asked again until it is there; that it was refused is recorded."""
        for attempt in count():
            try:
                return await self.api.execute(query, variables)
            except UnavailableError:
                pass
            except ApiError as refusal:
                request = next(self._requests)
                self.tape.write(Asked(now(), request, QUERY, "", hash_of(dict(variables))))
                self.tape.write(Refused(now(), request, refusal.code, refusal.message[:500]))
            await self._pause(attempt)
        raise AssertionError("counting never ends")

    async def change(self, mutation: str, key: str, given: Mapping[str, Any]) -> Answer:
        """The answer to a mutation, sent again under its key until there is one."""
        for attempt in count():
            answer = await self._once(mutation, key, given)
            if answer is not None:
                return answer
            self.repeated += 1
            await self._pause(attempt)
        raise AssertionError("counting never ends")

    async def _once(self, mutation: str, key: str, given: Mapping[str, Any]) -> Answer | None:
        request = next(self._requests)
        self.tape.write(Asked(now(), request, mutation, key, hash_of(given)))
        try:
            payload = await self.api.mutate(document(mutation), mutation, {**given, "idempotencyKey": key})
        except UnavailableError as away:
            self.tape.write(Unanswered(now(), request, str(away)[:200]))
            return None
        except ApiError as refusal:
            self.tape.write(Refused(now(), request, refusal.code, refusal.message[:500]))
            return Answer(refused=refusal.code)
        if mutation == "createMergeRequest":
            iid = int(payload["mergeRequest"]["iid"])
            place = {"project": given["projectPath"], "branch": given["sourceBranch"]}
            self.tape.write(Answered(now(), request, payload["created"], merge_request=iid, **place))
            return Answer(merge_request=iid)
        saga = payload["saga"]
        told = (bare_id(saga["id"]), saga["version"], saga["state"], saga["status"])
        self.tape.write(Answered(now(), request, payload["created"], *told))
        return Answer(saga_id=saga["id"])

    async def _pause(self, attempt: int) -> None:
        await asyncio.sleep(PAUSES_S[min(attempt, len(PAUSES_S) - 1)] * self.chance.uniform(0.5, 1.5))

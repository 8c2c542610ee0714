"""The demo's story: an engineer takes an issue from the start of its Balance calculation to the merge request.

A client like any other: only the public GraphQL API, over HTTP and websocket. Any process behind it may be killed in
between: each request carries an idempotency key and is repeated, and the events are resumed after the last one seen.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from app.demo import documents
from app.demo.client import ApiError, Data, GraphQLClient, UnavailableError, retrying
from app.demo.sample import user_inputs
from app.demo.show import Show

PATIENCE = 90.0
"""Seconds without the API, and seconds without any news of a saga that does not wait for the user."""
_READ_AGAIN = frozenset({"VERSION_CONFLICT", "WRONG_STATE"})


class ScenarioFailedError(Exception):
    """The story does not reach its end; the message says why."""


@dataclass(frozen=True, slots=True)
class Job:
    """An issue to work on, and its saga where one is under way."""

    project_path: str
    iid: int
    title: str


@dataclass(frozen=True, slots=True)
class Finished:
    """What came out."""

    saga_id: str
    branch: str
    merge_request: str
    pressure_kpa: float
    power_mw: float


async def choose_job(client: GraphQLClient, project_path: str) -> Job | None:
    """The oldest open issue of the user whose Balance calculation is not finished yet; None: all are."""
    data = await _ask(client, documents.ISSUES, {"projectPath": project_path})
    issues = [edge["node"] for edge in data["issues"]["edges"]]
    for issue in sorted(issues, key=itemgetter("iid")):
        sagas = [saga["node"] for saga in issue["sagas"]["edges"]]
        if not any(saga["definition"]["name"] == "balance" and saga["status"] == "COMPLETED" for saga in sagas):
            return Job(issue["projectPath"], issue["iid"], issue["title"])
    return None


async def play(client: GraphQLClient, job: Job, show: Show) -> Finished:
    """Work on the issue to its merge request.

    Raises ScenarioFailedError where the saga fails, nothing moves for too long, or the API refuses.
    """
    try:
        return await _Story(client, job, show).play()
    except (ApiError, UnavailableError) as error:
        raise ScenarioFailedError(str(error)) from error


class _Story:
    def __init__(self, client: GraphQLClient, job: Job, show: Show) -> None:
        self._client, self._job, self._show = client, job, show
        self._filled: set[int] = set()

    async def play(self) -> Finished:
        viewer = (await _ask(self._client, documents.VIEWER))["viewer"]
        self._show.title(f"Issue #{self._job.iid} of {self._job.project_path}: {self._job.title}")
        self._show.step(f"signed in as {viewer['name'] or viewer['username']}")
        saga = await self._start()
        await self._follow(saga["id"])
        return await self._finish(saga["id"])

    async def _start(self) -> Data:
        given = {"projectPath": self._job.project_path, "issueIid": self._job.iid}
        payload = await _change(self._client, documents.START, "startBalanceCalculation", given)
        saga: Data = payload["saga"]
        how = "started" if payload["created"] else "is under way already"
        self._show.step(f"Balance calculation {how}", f"branch {saga['branch']}")
        return saga

    async def _follow(self, saga_id: str) -> None:
        events = self._client.follow(documents.EVENTS, {"sagaId": saga_id}, patience=PATIENCE)
        async with aclosing(events):
            async for event in _not_silent(events):
                await self._heard(saga_id, event)

    async def _heard(self, saga_id: str, event: Data) -> None:
        self._tell(event)
        match event["status"]:
            case "FAILED":
                data = event["data"]
                if event["type"] == "FAILED":
                    raise ScenarioFailedError(f"{event['toState']} failed: {data.get('code')}: {data.get('message')}")
            case "CANCELLING" | "CANCELLED":
                raise ScenarioFailedError(f"Somebody ({event['actor']}) cancelled the calculation.")
            case "AWAITING_INPUT":
                await self._fill_in(saga_id)

    async def _fill_in(self, saga_id: str) -> None:
        saga = await self._saga(saga_id)
        form = saga["pendingInput"]
        if form is None or form["expectedVersion"] in self._filled:
            return
        calculation = form["calculation"]["name"]
        values = user_inputs(calculation, form["draft"])
        given = {
            "sagaId": saga_id,
            "step": form["step"],
            "values": values,
            "expectedVersion": form["expectedVersion"],
        }
        self._show.step(f"filled in the form “{form['calculation']['title']}”", _differences(form["draft"], values))
        try:
            await _change(self._client, documents.ADVANCE, "advanceSaga", given)
        except ApiError as error:
            if error.code not in _READ_AGAIN:
                raise
            self._show.trouble(f"the form has changed meanwhile: {error.message}")
            return
        self._filled.add(form["expectedVersion"])

    async def _finish(self, saga_id: str) -> Finished:
        saga = await self._saga(saga_id)
        if saga["status"] != "COMPLETED":
            raise ScenarioFailedError(f"The calculation ended as {saga['status']} in {saga['state']}.")
        results = {task["calculation"]["name"]: task["result"] for task in saga["tasks"] if task["result"]}
        balance = results["balance"]
        pressure, power = float(balance["condenser"]["pressure_kpa"]), float(balance["power_mw"])
        self._show.value("condenser pressure", f"{pressure:.3f} kPa")
        self._show.value("power", f"{power:.2f} MW")
        self._show.value("heat rate", f"{balance['heat_rate_kj_per_kwh']:.0f} kJ/kWh")
        url = await self._merge_request(saga["branch"])
        return Finished(saga_id, saga["branch"], url, pressure, power)

    async def _merge_request(self, branch: str) -> str:
        given = {"projectPath": self._job.project_path, "sourceBranch": branch, "issueIid": self._job.iid}
        payload = await _change(self._client, documents.MERGE, "createMergeRequest", given)
        request = payload["mergeRequest"]
        self._show.step(f"merge request !{request['iid']} {'opened' if payload['created'] else 'is open'}")
        return str(request["webUrl"])

    async def _saga(self, saga_id: str) -> Data:
        saga: Data = (await _ask(self._client, documents.SAGA, {"id": saga_id}))["saga"]
        self._show.progress(saga["state"], saga["progress"]["completedSteps"], saga["progress"]["totalSteps"])
        return saga

    def _tell(self, event: Data) -> None:
        progress = event["saga"]["progress"]
        self._show.progress(event["toState"], progress["completedSteps"], progress["totalSteps"])
        text, detail = documents.in_words(event)
        if event["type"] == "ATTEMPT_FAILED":
            self._show.trouble(f"{text} {detail}")
        elif event["type"] != "DRAFT_CHANGED":
            self._show.step(text, detail)


async def _not_silent(events: AsyncIterator[Data]) -> AsyncIterator[Data]:
    while True:
        try:
            async with asyncio.timeout(PATIENCE):
                event = await anext(events)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise ScenarioFailedError(f"Nothing happened for {PATIENCE:g} s.") from None
        yield event


async def _ask(client: GraphQLClient, query: str, variables: Mapping[str, object] | None = None) -> Data:
    return await retrying(lambda: client.execute(query, variables), patience=PATIENCE)


async def _change(client: GraphQLClient, query: str, name: str, given: Mapping[str, Any]) -> Data:
    keyed = {**given, "idempotencyKey": documents.new_key()}
    return await retrying(lambda: client.mutate(query, name, keyed), patience=PATIENCE)


def _differences(draft: object, values: object, path: str = "") -> str:
    """The fields that the user has changed, as `/a/b: old → new`."""
    if isinstance(draft, dict) and isinstance(values, dict):
        parts = [
            _differences(draft.get(key), values.get(key), f"{path}/{key}")
            for key in values
            if draft.get(key) != values[key]
        ]
        return ", ".join(filter(None, parts))
    return f"{path}: {draft if draft is not None else 'empty'} → {values}"

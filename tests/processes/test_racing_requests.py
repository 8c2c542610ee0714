"""NF-ORCH-2: the same request fifty times at once over two API processes is done once, and each is told so.

Everything goes by GraphQL over HTTP; the APIs and the two engines share nothing but the database.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from app.demo.client import ApiError, Data, GraphQLClient
from sagas.models import SagaStatus
from tests.processes.racing import APIS, PATIENCE_S, branch, clients, first_form, stage
from tests.processes.stage import Stage
from tests.processes.users import FIRST_FORM, VALUES, change, look
from tests.support import eventually

__all__ = ["branch", "clients", "stage"]
pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("racing requests")]

AT_ONCE = 50


async def race(clients: list[GraphQLClient], mutation: str, given: Callable[[int], Mapping[str, Any]]) -> list[Data]:
    """The payloads of the n-th requests, all sent at the same moment, by turns to each API."""
    asks = (change(clients[n % len(clients)], mutation, given(n)) for n in range(AT_ONCE))
    return await asyncio.gather(*asks)


def assert_one(payloads: list[Data], what: str = "saga", key: str = "id") -> str:
    """That all payloads name the same, and exactly one request did it; its id."""
    assert len(payloads) == AT_ONCE
    assert Counter(payload["created"] for payload in payloads) == {True: 1, False: AT_ONCE - 1}
    (identity,) = {payload[what][key] for payload in payloads}
    return str(identity)


Keys = Callable[[int], dict[str, str]]
KEYS: dict[str, Keys] = {
    "with one key": lambda _: {"idempotencyKey": "the same"},
    "without a key": lambda _: {},
    "each with its own key": lambda n: {"idempotencyKey": f"number {n}"},
}
keyed = pytest.mark.parametrize("key", KEYS.values(), ids=[name.replace(" ", "-") for name in KEYS])


def told(branch: str, key: dict[str, str]) -> dict[str, str]:
    """The key, made the test's own."""
    return {name: f"{branch} {value}" for name, value in key.items()}


@keyed
async def test_fifty_starts_at_once_are_one_saga(
    stage: Stage, clients: list[GraphQLClient], branch: str, key: Keys
) -> None:
    where = {"projectPath": stage.project.path, "branch": branch}
    assert_one(await race(clients, "startBalanceCalculation", lambda n: {**where, **told(branch, key(n))}))
    assert stage.rows("SELECT count(*)::int FROM saga WHERE branch = %s", branch) == [(1,)]
    await eventually(stage.at_rest, timeout=PATIENCE_S)
    assert stage.effects(branch) == {"HYDRATE_CONDENSER/1": 1}


@keyed
async def test_fifty_runs_of_a_calculation_at_once_are_one_commit_and_one_task(
    stage: Stage, clients: list[GraphQLClient], branch: str, key: Keys
) -> None:
    what = {"projectPath": stage.project.path, "branch": branch, "calculation": "condenser", "values": VALUES}
    assert_one(await race(clients, "runCalculation", lambda n: {**what, **told(branch, key(n))}))
    await eventually(stage.at_rest, timeout=PATIENCE_S)
    assert stage.effects(branch) == {"COMMIT_CONDENSER_INPUT/1": 1}
    assert stage.rows("SELECT count(*)::int FROM calculation_task WHERE branch = %s", branch) == [(1,)]


@keyed
async def test_a_form_filled_in_fifty_times_at_once_is_one_commit(
    stage: Stage, clients: list[GraphQLClient], branch: str, key: Keys
) -> None:
    saga = await first_form(stage, clients, branch)
    what = {"sagaId": saga, "step": FIRST_FORM, "values": VALUES}
    assert assert_one(await race(clients, "advanceSaga", lambda n: {**what, **told(branch, key(n))})) == saga
    await eventually(stage.at_rest, timeout=PATIENCE_S)
    assert stage.effects(branch) == {"HYDRATE_CONDENSER/1": 1, "COMMIT_CONDENSER_INPUT/1": 1}
    assert (await look(clients[0], saga))["status"] == SagaStatus.AWAITING_RESULT


@keyed
async def test_fifty_requests_for_a_merge_request_at_once_open_one(
    stage: Stage, clients: list[GraphQLClient], branch: str, key: Keys
) -> None:
    stage.emulator.commit(stage.project.id, branch, {"condenser_input.json": "{}"})
    where = {"projectPath": stage.project.path, "sourceBranch": branch}
    payloads = await race(clients, "createMergeRequest", lambda n: {**where, **told(branch, key(n))})
    assert_one(payloads, "mergeRequest", "iid")
    opened = stage.emulator.api("GET", f"/projects/{stage.project.id}/merge_requests?state=all&source_branch={branch}")
    assert len(opened) == 1


async def test_a_key_with_other_input_is_refused_and_starts_nothing(
    stage: Stage, clients: list[GraphQLClient], branch: str
) -> None:
    """Fifty times two inputs under one key: one of them is taken, all requests with the other are refused."""
    values = ({"load": 1}, {"load": 2})
    where = {"projectPath": stage.project.path, "branch": branch, "calculation": "condenser", "idempotencyKey": branch}

    async def ask(number: int) -> tuple[int, str]:
        which = number % len(values)
        try:
            payload = await change(clients[number // 2 % 2], "runCalculation", {**where, "values": values[which]})
        except ApiError as refusal:
            return which, refusal.code
        return which, str(payload["saga"]["id"])

    answers = await asyncio.gather(*(ask(number) for number in range(AT_ONCE)))
    taken = {which for which, answer in answers if answer != "IDEMPOTENCY_CONFLICT"}
    (winner,) = taken
    assert {answer for which, answer in answers if which != winner} == {"IDEMPOTENCY_CONFLICT"}
    assert len({answer for which, answer in answers if which == winner}) == 1
    assert stage.rows("SELECT count(*)::int FROM saga WHERE branch = %s", branch) == [(1,)]
    await eventually(stage.at_rest, timeout=PATIENCE_S)
    assert stage.effects(branch) == {"COMMIT_CONDENSER_INPUT/1": 1}
    assert f'"load": {values[winner]["load"]}' in (
        stage.emulator.read_file(stage.project.id, "condenser_input.json", branch) or ""
    )


async def test_stored_answers_outlive_both_apis(stage: Stage, clients: list[GraphQLClient], branch: str) -> None:
    saga = await first_form(stage, clients, branch)
    start = {"projectPath": stage.project.path, "branch": branch, "idempotencyKey": f"{branch} start"}
    advance = {"sagaId": saga, "step": FIRST_FORM, "values": VALUES, "idempotencyKey": f"{branch} advance"}
    merge = {"projectPath": stage.project.path, "sourceBranch": branch, "idempotencyKey": f"{branch} merge"}
    told_before = [
        await change(clients[0], "advanceSaga", advance),
        await change(clients[1], "createMergeRequest", merge),
    ]
    assert all(payload["created"] for payload in told_before)
    before = await eventually(lambda: settled(stage, branch), timeout=PATIENCE_S)

    for name in APIS:
        # uvicorn closes in order, then dies of the signal that asked it to.
        assert stage.processes[name].end() == -signal.SIGTERM
        stage.api(name)
    for client, name in zip(clients, APIS, strict=True):
        await stage.answers(name)
        again = [
            await change(client, "startBalanceCalculation", start),
            await change(client, "advanceSaga", advance),
            await change(client, "createMergeRequest", merge),
        ]
        assert [payload["created"] for payload in again] == [False] * 3
        assert [payload["saga"]["id"] for payload in again[:2]] == [saga] * 2
        assert again[2]["mergeRequest"] == told_before[1]["mergeRequest"]
        with pytest.raises(ApiError) as refusal:
            await change(client, "advanceSaga", {**advance, "values": {"load": 6}})
        assert refusal.value.code == "IDEMPOTENCY_CONFLICT"
    assert await eventually(lambda: settled(stage, branch), timeout=PATIENCE_S) == before


def settled(stage: Stage, branch: str) -> dict[str, list[Any]]:
    """What is kept once the branch's saga has noted its merge request, at a moment at which no look has a lease."""
    assert stage.at_rest()
    kept = stage.kept()
    assert all(row["lease_token"] is None for row in kept["saga"])
    (waiting,) = [row for row in kept["saga"] if row["branch"] == branch and row["status"] == "AWAITING_RESULT"]
    assert waiting["context"].get("mergeRequests"), "a look notes it"
    return kept

"""Clients that vanish, ten thousand of them, at every stage of what they ask: nothing of them stays in the service."""

import random
import socket
from collections import Counter
from contextlib import ExitStack

import psutil
import pytest

from app.demo.client import GraphQLClient
from sagas.models import SagaStatus
from tests.processes.stage import BRANCH, Stage
from tests.processes.users import change, look
from tests.processes.vanishing import (
    Manner,
    come_and_go,
    cut,
    in_the_handshake,
    post,
    subscribe,
    while_subscribed,
)
from tests.support import eventually

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]

PATIENCE_S = 200.0
POOL = 10
"""Connections of each of the API's two pools, as shipped."""
OTHERS = 8
"""Those beside the pools: LISTEN and NOTIFY, and what Celery has."""
MOST_MB = 24.0
EVENTS = "subscription Events($id: ID!) { sagaEvents(sagaId: $id) { version } }"
UPDATED = "subscription Updated($id: ID!) { sagaUpdated(sagaId: $id) { version status } }"
PAUSE = "mutation Pause($input: SagaActionInput!) { pauseSaga(input: $input) { created } }"
RESUME = "mutation Resume($input: SagaActionInput!) { resumeSaga(input: $input) { created } }"
MERGE = "mutation Merge($input: CreateMergeRequestInput!) { createMergeRequest(input: $input) { created } }"


def crowd(stage: Stage, saga: str, size: int) -> list[Manner]:
    """So many clients, of all manners, in an order that is the same in every run."""
    pause, resume = (post(document, {"input": {"sagaId": saga}}) for document in (PAUSE, RESUME))
    where = {"projectPath": stage.project.path, "sourceBranch": BRANCH}
    # Nobody opens it while no engine runs: the mutation waits, and its client is gone.
    merge = post(MERGE, {"input": where})
    shares: list[tuple[Manner, float]] = [
        (cut(pause, 0.3), 0.42),
        (cut(pause, 0.9), 0.36),
        (in_the_handshake, 0.1),
        (while_subscribed(UPDATED, {"id": saga}, listens=False), 0.04),
        (while_subscribed(UPDATED, {"id": saga}), 0.04),
        (cut(pause, 1), 0.019),
        (cut(resume, 1), 0.019),
        (cut(merge, 1), 0.002),
    ]
    chosen = [manner for manner, share in shares for _ in range(round(size * share))]
    random.Random(7).shuffle(chosen)
    return chosen


def size_mb(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


def sessions(stage: Stage) -> Counter[str]:
    """The API's sessions at PostgreSQL, by state."""
    states = "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'api'"
    return Counter(state for (state,) in stage.rows(states))


async def test_ten_thousand_clients_that_vanish_leave_nothing_behind(stage: Stage) -> None:
    process = psutil.Process(stage.api("api").pid)
    await stage.answers("api")
    async with GraphQLClient(stage.graphql("api")) as client:
        saga = await waiting_saga(stage, client)
        port = stage.ports["api"]
        with ExitStack() as closing:
            mute = [closing.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(20)]
            for connection in mute:
                # Half-open: it is never heard of again, and answers no ping.
                subscribe(connection, EVENTS, {"id": saga})
            come_and_go(port, crowd(stage, saga, 2_000))
            await eventually(lambda: only_the_mute_are_left(stage, len(mute)), timeout=PATIENCE_S, every=0.5)
            before, files = size_mb(process), process.num_fds()

            come_and_go(port, crowd(stage, saga, 8_000))
            await eventually(lambda: only_the_mute_are_left(stage, len(mute)), timeout=PATIENCE_S, every=0.5)
            assert size_mb(process) - before < MOST_MB
            assert process.num_fds() <= files + OTHERS

            await eventually(lambda: only_the_mute_are_left(stage, 0), timeout=PATIENCE_S, every=0.5)

        status = (await look(client, saga))["status"]
        assert status in {SagaStatus.PAUSED, SagaStatus.AWAITING_INPUT}
        if status != SagaStatus.PAUSED:
            assert (await change(client, "pauseSaga", {"sagaId": saga}))["created"]
    assert sessions(stage).total() <= 2 * POOL + OTHERS
    versions = [version for (version,) in stage.rows("SELECT version FROM saga_event ORDER BY saga_id, version")]
    assert len(versions) > 20, "requests were taken whose clients were gone"
    assert " ERROR " not in stage.processes["api"].said()


def only_the_mute_are_left(stage: Stage, mute: int) -> bool:
    """No transaction, no busy connection, no websocket and no subscription but those of clients that are still there.

    Of the mute ones fewer may be: those that have answered no ping for long are let go.
    """
    seen = stage.metrics("api")
    busy = {name: value for name, value in seen.items() if 'state="busy"' in name}
    assert set(busy.values()) <= {0.0}, busy
    assert set(sessions(stage)) == {"idle"}, sessions(stage)
    assert seen["orchestrator_websockets"] <= mute
    assert seen["orchestrator_websocket_operations"] <= mute
    return True


async def waiting_saga(stage: Stage, client: GraphQLClient) -> str:
    """A saga that waits in a form, where no engine runs any more."""
    given = {"projectPath": stage.project.path, "branch": BRANCH}
    engine = stage.engine("engine")
    saga = str((await change(client, "startBalanceCalculation", given))["saga"]["id"])
    await eventually(stage.at_rest, timeout=PATIENCE_S)
    assert engine.end() == 0
    return saga

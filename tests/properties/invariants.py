"""What must be true of a saga, its journal, its effects and its branch at every moment, whatever happened."""

import re
from collections import Counter
from datetime import datetime
from itertools import pairwise
from uuid import UUID

from sagas.context import SagaContext
from sagas.definition import SagaDefinition, StepKind
from sagas.models import Saga, SagaStatus, SignalKind
from sagas.store import commands, inbox
from tests.fake_repository import FakeRepository, blob_id
from tests.world import World

LIVE_WAITS = {SagaStatus.AWAITING_INPUT: StepKind.INPUT, SagaStatus.AWAITING_RESULT: StepKind.RESULT}
RESTING = {SagaStatus.PAUSED, SagaStatus.FAILED, SagaStatus.COMPLETED, SagaStatus.CANCELLED}


async def check(world: World, saga_id: UUID) -> Saga:
    """Hold the saga to all of them; returns it as it is now."""
    saga = await world.saga(saga_id)
    now = await world.database.read(commands.now)
    definition = await world.definitions.get(saga.definition_name, saga.definition_version)
    check_status(saga, definition)
    check_somebody_wakes_it(saga)
    check_error(saga)
    await check_journal(world, saga)
    await check_signals(world, saga, now)
    await check_tasks(world, saga)
    await check_commits(world, saga)
    await check_every_commit_is_told(world, saga)
    return saga


def check_status(saga: Saga, definition: SagaDefinition) -> None:
    kind = definition.step(saga.state).kind
    if saga.status in LIVE_WAITS:
        assert kind is LIVE_WAITS[saga.status]
    if saga.status is SagaStatus.RUNNING:
        # A wait in status RUNNING was retried: the engine looks whether all is in order before it waits again.
        assert kind in {StepKind.ACTION, StepKind.RESULT, StepKind.INPUT}
    assert (saga.status is SagaStatus.COMPLETED) == (kind is StepKind.FINAL)
    assert (saga.finished_at is not None) == (not saga.status.live)


def check_somebody_wakes_it(saga: Saga) -> None:
    if saga.status in RESTING:
        assert (saga.due_at, saga.look_at, saga.lease_token) == (None, None, None)
    elif saga.status is SagaStatus.AWAITING_INPUT:
        assert (saga.due_at, saga.lease_token) == (None, None)
        assert saga.look_at is not None
    else:
        assert saga.due_at is not None, f"{saga.status} in {saga.state}: nobody will wake it"
    if saga.status is SagaStatus.AWAITING_RESULT:
        assert saga.deadline_at is not None
        assert saga.look_at is not None


def check_error(saga: Saga) -> None:
    if saga.status is SagaStatus.FAILED:
        assert saga.error is not None
        assert saga.error["retryable"] is False
    if saga.status in {SagaStatus.COMPLETED, SagaStatus.CANCELLED, SagaStatus.AWAITING_INPUT}:
        assert saga.error is None
    if saga.next_attempt_at is not None:
        assert saga.error is not None
        assert saga.error["retryable"] is True


async def check_journal(world: World, saga: Saga) -> None:
    entries = await world.journal(saga.id)
    assert [version for version, *_ in entries] == list(range(1, saga.version + 1))
    last = entries[-1]
    assert last[3] == saga.state
    # A leased step that a command interrupts tells its new status at once, and every rest has its own entry.
    assert last[4] is saga.status
    for before, after in pairwise(entries):
        assert after[2] == before[3], "an entry begins in the state where the one before it ended"


async def check_signals(world: World, saga: Saga, now: datetime) -> None:
    unread = await world.database.read(lambda connection: inbox.unread(connection, saga.id))
    wakes = [signal for signal in unread if signal.kind is SignalKind.RESULT]
    if saga.status is SagaStatus.AWAITING_RESULT and saga.lease_token is None and not saga.next_attempt_at and wakes:
        assert saga.due_at is not None
        assert saga.due_at <= now, "a signal is slept through"


async def check_tasks(world: World, saga: Saga) -> None:
    rows = await world.database.read(
        lambda connection: connection.fetch("SELECT id, state, visit FROM calculation_task WHERE saga_id = $1", saga.id)
    )
    assert len({(row["state"], row["visit"]) for row in rows}) == len(rows)
    steps = SagaContext.from_json(saga.context).steps
    assert Counter(row["state"] for row in rows) == Counter(
        {name: step.visit for name, step in steps.items() if name.startswith("DISPATCH_") and step.visit}
    )
    bodies = {message.id: str(message.body()) for message in world.publisher.published}
    assert set(bodies) <= {row["id"] for row in rows}
    assert all(bodies[message.id] == str(message.body()) for message in world.publisher.published)


async def check_every_commit_is_told(world: World, saga: Saga) -> None:
    """Without a failure in its way, whatever the saga committed is in its journal once it is over."""
    events = "SELECT type, data FROM saga_event WHERE saga_id = $1"
    entries = await world.database.read(lambda connection: connection.fetch(events, saga.id))
    if saga.status is not SagaStatus.COMPLETED or any(entry["type"] == "FAILED" for entry in entries):
        return
    told = {entry["data"]["sha"] for entry in entries if entry["type"] == "COMMITTED"}
    repository = world.forge._repository(world.project)
    made = {c.sha for c in repository._commits.values() if c.trailers.get("Saga-Id") == str(saga.id)}
    head = repository.branches.get(saga.branch)
    there = {commit.sha for commit in repository.history(head)}
    # What somebody has rewritten away before the saga could tell of it, it never saw.
    assert made & there <= told <= made


async def check_commits(world: World, saga: Saga) -> None:
    repository = world.forge._repository(world.project)
    own = [c for c in repository._commits.values() if c.trailers.get("Saga-Id") == str(saga.id)]
    effects = Counter(commit.trailers["Saga-Step"] for commit in own)
    assert not [effect for effect, times in effects.items() if times > 1], "an effect was done twice"
    by_effect = {commit.trailers["Saga-Step"]: commit.sha for commit in own}
    for effect, sha in by_effect.items():
        found = re.fullmatch(r"(undo:)?(HYDRATE|COMMIT)_(\w+?)(?:_INPUT)?/(\d+)", effect)
        assert found is not None, effect
        undo, kind, calculation, visit = found.groups()
        path = f"{calculation.lower()}_input.json"
        replaced = content(repository, repository.commit_of(sha).parent_ids[0], path)
        if undo:
            assert replaced == content(repository, by_effect[effect.removeprefix("undo:")], path), "foreign work undone"
        elif kind == "HYDRATE":
            assert replaced is None, "hydration overwrote a file"
        else:
            assert replaced == await seen(world, saga, calculation, int(visit)), "a file was overwritten unseen"


def content(repository: FakeRepository, sha: str, path: str) -> str | None:
    text = {str(key): tree for key, tree in repository._trees.items()}[sha].get(path)
    return None if text is None else blob_id(text)


async def seen(world: World, saga: Saga, calculation: str, visit: int) -> str | None:
    """The blob that the form showed when its user gave the values."""
    statement = "SELECT blob_id FROM draft WHERE saga_id = $1 AND state = $2 AND visit = $3"
    blob: str | None = await world.database.read(
        lambda connection: connection.fetchval(statement, saga.id, f"AWAIT_USER_{calculation}_INPUT", visit)
    )
    return blob

"""Nothing is stuck unseen: what ought to move and does not is listed with its reason; what waits as it should is not."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from sagas.models import EventType, Saga, SagaStatus
from sagas.store.database import Database
from sagas.use_cases.stuck import StuckReason, count_stuck_sagas, stuck_sagas
from tests.store import rows

HOUR = timedelta(hours=1)
NOW = datetime.now(UTC)
FUTURE = NOW + HOUR
PAST = NOW - HOUR


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, size=2)
    yield opened
    await opened.close()


async def store(database: Database, saga: Saga, *events: tuple[EventType, datetime]) -> Saga:
    """Write the saga as it would be if this file had been read just now: it may have been minutes ago."""
    since = datetime.now(UTC) - NOW
    times = ("updated_at", "due_at", "look_at", "deadline_at")
    moved = {name: at + since for name in times if (at := getattr(saga, name)) is not None}
    journal = [rows.event(saga, version, type_) for version, (type_, _) in enumerate(events, start=1)]
    for entry, (_, at) in zip(journal, events, strict=True):
        entry.occurred_at = at + since
    await rows.insert(database.engine, [rows.definition(), replace(saga, **moved), *journal])
    return saga


def old(status: SagaStatus, **changes: Any) -> Saga:
    """A saga that nothing has happened to for an hour."""
    return rows.saga(status=status, updated_at=PAST, **changes)


def tries(**changes: Any) -> Saga:
    error = {"code": "GITLAB_UNAVAILABLE", "message": "503", "retryable": True, "occurredAt": NOW.isoformat()}
    return old(SagaStatus.RUNNING, state="HYDRATE_CONDENSER", attempts=9, due_at=FUTURE, error=error, **changes)


STUCK = [
    (old(SagaStatus.RUNNING), StuckReason.NOBODY_WAKES_IT),
    (old(SagaStatus.CANCELLING, look_at=FUTURE), StuckReason.NOBODY_WAKES_IT),
    (old(SagaStatus.AWAITING_RESULT, look_at=FUTURE), StuckReason.NOBODY_WAKES_IT),
    (old(SagaStatus.RUNNING, due_at=PAST), StuckReason.NOT_TAKEN),
    (old(SagaStatus.RUNNING, due_at=PAST, lease_token=uuid4()), StuckReason.NOT_TAKEN),
    (old(SagaStatus.AWAITING_INPUT, look_at=PAST), StuckReason.NOT_LOOKED_AFTER),
    (old(SagaStatus.AWAITING_RESULT, due_at=FUTURE, look_at=FUTURE, deadline_at=PAST), StuckReason.PAST_DEADLINE),
    (tries(), StuckReason.NO_PROGRESS),
    (old(SagaStatus.CANCELLING, due_at=FUTURE, lease_token=uuid4()), StuckReason.NO_PROGRESS),
]


@pytest.mark.parametrize(("saga", "reason"), STUCK, ids=lambda value: str(getattr(value, "status", value)))
async def test_a_saga_that_does_not_move_is_listed_with_its_reason_and_age(
    database: Database, saga: Saga, reason: StuckReason
) -> None:
    await store(database, saga, (EventType.STARTED, PAST), (EventType.ATTEMPT_FAILED, NOW))
    (found,) = await stuck_sagas(database)
    assert (found.id, found.reason, found.status, found.error) == (saga.id, reason, saga.status, saga.error)
    assert HOUR <= found.age < 2 * HOUR
    assert await count_stuck_sagas(database) == {one: int(one is reason) for one in StuckReason}


@pytest.mark.parametrize(
    "saga",
    [
        old(SagaStatus.PAUSED),
        old(SagaStatus.FAILED),
        old(SagaStatus.COMPLETED),
        old(SagaStatus.CANCELLED),
        old(SagaStatus.AWAITING_INPUT, look_at=FUTURE),
        old(SagaStatus.AWAITING_RESULT, due_at=FUTURE, look_at=FUTURE, deadline_at=FUTURE),
        rows.saga(status=SagaStatus.RUNNING, due_at=FUTURE, updated_at=NOW),
        rows.saga(status=SagaStatus.RUNNING, due_at=NOW, updated_at=NOW),
    ],
    ids=lambda saga: str(saga.status),
)
async def test_a_saga_that_waits_for_a_person_a_worker_or_its_turn_is_not(database: Database, saga: Saga) -> None:
    waits_for_its_turn = saga.updated_at == NOW
    await store(database, saga, (EventType.STARTED, NOW if waits_for_its_turn else PAST))
    assert list(await stuck_sagas(database)) == []
    assert set((await count_stuck_sagas(database)).values()) == {0}


async def test_a_saga_that_gets_on_between_its_failures_is_not(database: Database) -> None:
    await store(
        database, tries(), (EventType.STARTED, PAST), (EventType.COMMITTED, NOW), (EventType.ATTEMPT_FAILED, NOW)
    )
    assert list(await stuck_sagas(database)) == []


async def test_what_may_be_expected_can_be_said(database: Database) -> None:
    await store(database, tries(), (EventType.STARTED, PAST))
    assert list(await stuck_sagas(database, expectation=2 * HOUR)) == []
    assert len(await stuck_sagas(database, expectation=HOUR / 2)) == 1


async def test_the_oldest_comes_first_and_no_more_than_asked_for(database: Database) -> None:
    sagas = [old(SagaStatus.RUNNING, due_at=PAST - n * HOUR) for n in (1, 3, 2)]
    await rows.insert(database.engine, [rows.definition(), *sagas])
    found = await stuck_sagas(database, limit=2)
    assert [saga.id for saga in found] == [sagas[1].id, sagas[2].id]
    assert (await count_stuck_sagas(database))[StuckReason.NOT_TAKEN] == 3

"""NF-ORCH-1, NF-ORCH-2: a COMMIT that happened and whose answer was lost is read back, never done a second time."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from sagas.errors import TerminalError, UnknownOutcomeError
from sagas.faults import COMMITS
from sagas.ids import LeaseToken, SagaId
from sagas.models import EventType, SagaStatus
from sagas.results import Stayed
from sagas.store import claims
from sagas.store.claims import Held
from sagas.store.outcomes import Outcome, Recording
from sagas.use_cases.answers import Answer
from tests.engine.lost_commits import losing_commits
from tests.world import ENGINEER, World

STEP = "AWAIT_USER_CONDENSER_INPUT"
HAPPY = [
    EventType.STARTED,
    EventType.ENTERED,
    EventType.COMMITTED,
    EventType.INPUT_RECEIVED,
    EventType.COMMITTED,
    EventType.TASK_PUBLISHED,
    EventType.RESULT_ACCEPTED,
    EventType.ENTERED,
]


ELSEWHERE = {"database.definitions", "database.draft", "database.release", "database.remember", "database.stop"} | {
    "database.unarchive"
}
"""Commits that this story does not pass: of a start-up, of a foreign edit, of a stop, of a reader of the archive."""


@pytest.mark.parametrize("place", [place for place in COMMITS if place not in ELSEWHERE])
async def test_a_saga_whose_commits_lose_their_answers_does_each_step_once(
    world: World, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """No step may be passed over because its predecessor's report was applied twice."""
    with losing_commits(monkeypatch, place, lambda number: number % 2 == 1) as lost:
        async with world.running():
            saga = await world.start()
            await world.run_through(saga.id)
    assert lost or place == "database.renew"
    types = await world.types(saga.id)
    assert types[: len(HAPPY)] == HAPPY
    assert len(world.publisher.published) == 3
    assert types.count(EventType.TASK_PUBLISHED) == 3
    assert types.count(EventType.COMMITTED) == 4
    assert [entry[0] for entry in await world.journal(saga.id)] == list(range(1, len(types) + 1))


async def _waiting(world: World) -> SagaId:
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
    return SagaId(saga.id)


def _commands(world: World, saga_id: SagaId) -> list[Callable[[], Awaitable[Answer]]]:
    return [
        lambda: world.service.pause(ENGINEER, saga_id),
        lambda: world.service.resume(ENGINEER, saga_id),
        lambda: world.service.advance(ENGINEER, saga_id, step=STEP, values={"load": 5}),
        lambda: world.service.cancel(ENGINEER, saga_id),
    ]


async def test_a_command_whose_commit_lost_its_answer_still_says_that_it_did_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    saga_id = await _waiting(world)
    for command in _commands(world, saga_id):
        before = (await world.saga(saga_id)).version
        with losing_commits(monkeypatch, "database.command", lambda number: number == 1) as lost:
            answer = await command()
        assert lost
        assert answer.created
        assert answer.saga.version == before + 1 == (await world.saga(saga_id)).version


async def test_a_retry_whose_commit_lost_its_answer_is_not_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    saga = await world.start()
    world.forge.remove_branch(world.project, "issue/1-test")
    async with world.running():
        failed = await world.is_now(saga.id, SagaStatus.FAILED)
    with losing_commits(monkeypatch, "database.command", lambda number: number == 1):
        answer = await world.service.retry(ENGINEER, SagaId(saga.id), expected_version=failed.version)
    assert answer.created
    assert answer.saga.status is SagaStatus.RUNNING
    assert (await world.types(saga.id)).count(EventType.RETRIED) == 1


async def test_a_start_whose_commit_lost_its_answer_is_one_saga(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with losing_commits(monkeypatch, "database.start", lambda number: number == 1):
        answer = await world.service.start_balance(ENGINEER, project_path="plant/unit", branch="issue/1-test")
    assert answer.created
    assert await world.database.read(lambda c: c.fetchval("SELECT count(*) FROM saga")) == 1


async def test_a_claim_whose_commit_lost_its_answer_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for a lease to run out that this very engine holds."""
    saga = await world.start()
    taking = claims.Claim(limit=5, lease=timedelta(seconds=60))
    with losing_commits(monkeypatch, "database.claim", lambda number: number == 1):
        taken = await world.database.run(taking, point="claim")
    assert [row.id for row in taken] == [saga.id]


async def test_a_database_that_goes_away_in_a_commit_never_says_that_nothing_was_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    saga_id = await _waiting(world)
    world.database.patience = 0.2
    with losing_commits(monkeypatch, "database.command", lambda _: True), pytest.raises(UnknownOutcomeError) as raised:
        await world.service.pause(ENGINEER, saga_id)
    assert "may have been accepted" in raised.value.message


async def test_an_older_report_never_passes_under_a_newer_lease(world: World) -> None:
    """One process holds two reports on a saga, the first under a lease that ran out: only the second is written."""
    await world.start()
    (first,) = await world.database.run(lambda c: claims.claim(c, limit=1, lease=timedelta(0)))
    (second,) = await world.database.run(lambda c: claims.claim(c, limit=1, lease=timedelta(seconds=60)))
    held = [Held(SagaId(row.id), LeaseToken(row.lease_token)) for row in (first, second) if row.lease_token]
    reports = [Outcome(held[1], Stayed(), second), Outcome(held[0], Stayed(({"stale": True},)), first)]
    recording = Recording(reports, definitions=world.definitions.get, lease=timedelta(seconds=60))
    changes = await world.database.run(recording)
    assert list(changes) == [held[1]]
    assert await world.types(first.id) == [EventType.STARTED]


async def test_an_outcome_that_the_database_refuses_is_told_and_takes_no_other_with_it(world: World) -> None:
    world.forge.add_branch(world.project, "issue/2-other")
    broken, other = await world.start(), await world.start("issue/2-other")
    world.forge.fail_next("branch", TerminalError("GITLAB_REJECTED", "a text that no column takes: \0"))
    async with world.running():
        for saga in (broken, other):
            await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT, timeout=5)
    both = [*await world.types(broken.id), *await world.types(other.id)]
    assert both.count(EventType.ATTEMPT_FAILED) == 1
    assert EventType.FAILED not in both

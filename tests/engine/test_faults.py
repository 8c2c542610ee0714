"""NF-ORCH-1, NF-ORCH-2: GitLab, broker and processes fail, and each effect is still there exactly once."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from sagas.engine import EngineSettings
from sagas.errors import RetryableError, TerminalError, UnknownOutcomeError
from sagas.ids import LeaseToken, SagaId
from sagas.models import EventType, Saga, SagaStatus, SignalKind
from sagas.ports import TaskMessage
from sagas.store import claims, inbox
from sagas.store.claims import Held
from sagas.store.database import Connection
from tests.support import eventually
from tests.world import ENGINEER, FAST, World

BRANCH = "issue/1-test"
STEP = "AWAIT_USER_CONDENSER_INPUT"


def effects(world: World) -> list[str]:
    log = world.forge.commit_log(world.project, BRANCH)
    return [commit.trailers["Saga-Step"] for commit in log if "Saga-Step" in commit.trailers]


async def test_a_commit_whose_answer_was_lost_is_adopted_not_repeated(world: World) -> None:
    world.forge.fail_next("create_commit", UnknownOutcomeError("GITLAB_UNAVAILABLE", "connection reset"), after=True)
    async with world.running():
        saga = await world.start()
        await world.run_through(saga.id)
    assert effects(world).count("HYDRATE_CONDENSER/1") == 1
    journal = await world.types(saga.id)
    assert journal.count(EventType.ATTEMPT_FAILED) == 1
    assert journal.count(EventType.COMMITTED) == 4


async def test_a_commit_that_did_not_happen_is_made_by_the_next_attempt(world: World) -> None:
    world.forge.fail_next("create_commit", UnknownOutcomeError("GITLAB_UNAVAILABLE", "connection reset"))
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
    assert effects(world) == ["HYDRATE_CONDENSER/1"]


async def test_an_outage_is_waited_out_with_the_error_shown(world: World) -> None:
    saga = await world.start()
    world.forge.fail_next("branch", RetryableError("GITLAB_UNAVAILABLE", "503"), times=2)
    async with world.running():

        async def shown() -> bool:
            now = await world.saga(saga.id)
            return now.error is not None and now.error["retryable"] and now.next_attempt_at is not None

        await eventually(shown)
        waiting = await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
    assert waiting.error is None
    assert waiting.next_attempt_at is None
    assert waiting.context["steps"]["CHECK_CONDENSER"]["visit"] == 1


async def test_retry_after_is_honoured(world: World) -> None:
    saga = await world.start()
    world.forge.fail_next("branch", RetryableError("GITLAB_UNAVAILABLE", "429", retry_after=3600))
    async with world.running():

        async def put_off() -> bool:
            return (await world.saga(saga.id)).next_attempt_at is not None

        await eventually(put_off)
    now = await world.saga(saga.id)
    assert now.next_attempt_at is not None
    assert now.next_attempt_at - now.updated_at >= timedelta(seconds=3600)
    assert now.due_at == now.next_attempt_at


async def test_a_refused_write_is_looked_at_again_before_it_is_believed(world: World) -> None:
    def foreign() -> None:
        world.forge.write(world.project, BRANCH, "condenser_input.json", '{"load": 11}')

    world.forge.on_next("create_commit", foreign)
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
    assert json.loads(world.forge.read(world.project, BRANCH, "condenser_input.json") or "") == {"load": 11}
    assert effects(world) == []
    assert EventType.COMMIT_NOT_NEEDED in await world.types(saga.id)


async def test_a_broker_that_is_away_stops_no_command_and_the_same_task_goes_out_later(world: World) -> None:
    world.publisher.fail_next("publish", RetryableError("BROKER_UNAVAILABLE", "connection refused"), times=2)
    world.publisher.fail_next("publish", RetryableError("BROKER_UNAVAILABLE", "no confirm"), after=True)
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        task = await world.published(saga.id, "condenser", timeout=20)
    assert {message.id for message in world.publisher.published} == {task}
    rows = await world.database.read(lambda c: c.fetch("SELECT published_at FROM calculation_task"))
    assert len(rows) == 1
    assert rows[0]["published_at"] is not None


async def test_what_gitlab_refuses_for_good_fails_the_saga_until_it_is_retried(world: World) -> None:
    world.forge.fail_next("create_commit", TerminalError("GITLAB_REJECTED", "pre-receive hook declined"))
    async with world.running():
        saga = await world.start()
        failed = await world.is_now(saga.id, SagaStatus.FAILED)
        assert failed.error is not None
        assert failed.error["code"] == "GITLAB_REJECTED"
        assert failed.due_at is None
        await world.service.retry(ENGINEER, SagaId(saga.id))
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
    assert effects(world) == ["HYDRATE_CONDENSER/1"]


async def test_a_step_that_breaks_takes_no_other_saga_with_it(world: World) -> None:
    world.forge.add_branch(world.project, "issue/2-other")
    broken = await world.start()
    other = await world.start("issue/2-other")
    world.forge.fail_next("branch", ZeroDivisionError("a bug"))
    async with world.running():
        await world.reaches(other.id, STEP, SagaStatus.AWAITING_INPUT)
        await world.reaches(broken.id, STEP, SagaStatus.AWAITING_INPUT)


async def test_a_killed_engines_saga_goes_on_elsewhere_when_its_lease_runs_out(world: World) -> None:
    saga = await world.start()
    taken = await world.database.run(lambda c: claims.claim(c, limit=1, lease=timedelta(seconds=1)))
    assert [row.id for row in taken] == [saga.id]
    async with world.running():
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
    assert effects(world) == ["HYDRATE_CONDENSER/1"]


async def test_an_owner_who_slept_past_its_lease_changes_nothing(world: World) -> None:
    """The stalled engine holds its write open while another one takes over; its outcome and its write are refused."""
    saga = await world.start()
    stalled, go_on = asyncio.Event(), asyncio.Event()

    async def stall() -> None:
        stalled.set()
        await go_on.wait()

    world.forge.on_next("get_file_content", stall)
    sleepy = world.engine(EngineSettings(lease=timedelta(seconds=1), renew_every=timedelta(seconds=3600)))
    asleep = asyncio.create_task(sleepy.run())
    await asyncio.wait_for(stalled.wait(), 5)
    async with world.running():
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
        before = await world.journal(saga.id)
        go_on.set()
        sleepy.stop()
        await asleep
    assert await world.journal(saga.id) == before
    assert effects(world) == ["HYDRATE_CONDENSER/1"]


async def test_a_stale_lease_can_neither_be_renewed_nor_released(world: World) -> None:
    saga = await world.start()
    (first,) = await world.database.run(lambda c: claims.claim(c, limit=1, lease=timedelta(0)))
    (second,) = await world.database.run(lambda c: claims.claim(c, limit=1, lease=timedelta(seconds=60)))
    assert first.lease_token is not None
    assert first.lease_token != second.lease_token
    stale = [Held(SagaId(saga.id), LeaseToken(first.lease_token))]
    assert not await world.database.run(lambda c: claims.renew(c, stale, lease=timedelta(seconds=60)))
    await world.database.run(lambda c: claims.release(c, stale))
    assert (await world.saga(saga.id)).lease_token == second.lease_token


async def test_a_leased_saga_is_not_claimed_twice(world: World) -> None:
    await world.start()
    claimed = await asyncio.gather(
        *(world.database.run(lambda c: claims.claim(c, limit=5, lease=timedelta(seconds=60))) for _ in range(6))
    )
    assert sum(len(batch) for batch in claimed) == 1


async def test_a_graceful_stop_hands_the_saga_over_at_once(world: World) -> None:
    saga = await world.start()
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        entered.set()
        await go_on.wait()

    world.forge.on_next("branch", slow)
    engine = world.engine()
    running = asyncio.create_task(engine.run())
    await asyncio.wait_for(entered.wait(), 5)
    engine.stop()
    go_on.set()
    await running
    now = await world.saga(saga.id)
    assert now.lease_token is None
    assert now.state == "HYDRATE_CONDENSER"
    due = await world.database.read(
        lambda c: c.fetchval("SELECT due_at <= clock_timestamp() FROM saga WHERE id = $1", saga.id)
    )
    assert due


async def test_a_result_that_comes_while_the_saga_is_leased_is_not_slept_through(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal arrives before the outcome that begins the wait: the counter on the row wakes it once it waits."""
    saga = await world.start()

    confirm = world.publisher.publish

    async def publish_and_tell(message: TaskMessage) -> None:
        await confirm(message)
        await world.database.run(
            lambda c: inbox.send(
                c,
                SagaId(saga.id),
                SignalKind.RESULT,
                dedupe_key="early",
                payload={"task": str(message.id), "commit": None, "error": "told before it was asked"},
            )
        )

    monkeypatch.setattr(world.publisher, "publish", publish_and_tell)
    async with world.running():
        await world.give(saga.id, "condenser")
        failed = await world.is_now(saga.id, SagaStatus.FAILED, timeout=5)
    assert failed.error is not None
    assert "told before it was asked" in failed.error["message"]


@pytest.mark.parametrize("engines", [3])
async def test_several_engines_share_the_work_and_double_nothing(world: World, engines: int) -> None:
    branches = [f"issue/{number}-load" for number in range(10, 20)]
    for branch in branches:
        world.forge.add_branch(world.project, branch)
    running = [world.engine(FAST) for _ in range(engines)]
    tasks = [asyncio.create_task(engine.run()) for engine in running]
    sagas = await asyncio.gather(*(world.start(branch) for branch in branches))
    await asyncio.gather(*(world.run_through(saga.id) for saga in sagas))
    for engine in running:
        engine.stop()
    await asyncio.gather(*tasks)
    for branch in branches:
        log = world.forge.commit_log(world.project, branch)
        steps = [commit.trailers["Saga-Step"] for commit in log if "Saga-Step" in commit.trailers]
        assert len(steps) == len(set(steps)) == 4
    assert len({message.id for message in world.publisher.published}) == 30
    assert len(world.publisher.published) == 30


async def test_an_engine_stops_however_the_news_come_together_with_its_end(world: World) -> None:
    """On Python 3.11 `asyncio.wait_for` swallows a cancellation that meets its result: the engine must end all the same."""
    for _ in range(20):
        engine = world.engine()
        running = asyncio.create_task(engine.run())
        for _ in range(5):
            await asyncio.sleep(0.002)
        engine.kick_all()
        engine.stop()
        engine.kick_all()
        await asyncio.wait_for(running, 10)


async def test_a_saga_that_a_lock_hid_for_longer_than_polls_look_back_is_found_all_the_same(
    world: World, database_url: str
) -> None:
    saga = await world.start()
    holder = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    lock = holder.transaction()
    await lock.start()
    await holder.execute("SELECT FROM saga WHERE id = $1 FOR UPDATE", saga.id)
    blinkered = replace(FAST, lately=timedelta(microseconds=1), poll_all_every=timedelta(milliseconds=200))
    async with world.running(blinkered):
        # The engine has looked at everything once this other saga, begun later, is on its way.
        world.forge.add_branch(world.project, "issue/2-test")
        other = await world.start("issue/2-test")
        await world.reaches(other.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
        await lock.rollback()
        await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    await holder.close()


async def test_a_look_at_whatever_is_due_may_take_long_and_holds_nobody_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an old snapshot keeps dead entries it reads for a second, first of all when an engine starts."""
    take, may_end = claims.Claim.__call__, asyncio.Event()
    waiting = 0

    async def slowly(self: claims.Claim, connection: Connection) -> list[Saga]:
        nonlocal waiting
        if self._due_within == claims.EVER:
            waiting += 1
            await may_end.wait()
        return await take(self, connection)

    monkeypatch.setattr(claims.Claim, "__call__", slowly)
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
        assert waiting == 1
        may_end.set()

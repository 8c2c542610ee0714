"""NF-ORCH-1: a saga that waits is woken by whatever comes, and obeys what is asked while its step is leased."""

from datetime import timedelta

from sagas.errors import RetryableError
from sagas.ids import LeaseToken, SagaId
from sagas.models import EventType, Saga, SagaStatus, SignalKind
from sagas.ports import TaskReport, TaskState
from sagas.results import Stayed, StepResult, TryAgain
from sagas.store import claims, inbox
from sagas.store.claims import Held
from sagas.store.outcomes import Outcome, Recording
from tests.support import eventually
from tests.world import ENGINEER, World

BRANCH = "issue/1-test"
FORM = "AWAIT_USER_CONDENSER_INPUT"


async def awaiting_result(world: World) -> Saga:
    """A saga that waits for its first calculation; no engine runs."""
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        await world.published(saga.id, "condenser")
    return await world.saga(saga.id)


async def leased(world: World, saga: Saga) -> Saga:
    """Wake the saga, as news do, and take its lease; returns the row as its step knows it."""
    await world.database.run(lambda c: c.execute("UPDATE saga SET due_at = clock_timestamp() WHERE id = $1", saga.id))
    (taken,) = await world.database.run(lambda c: claims.claim(c, limit=1, lease=timedelta(seconds=60)))
    return taken


async def report(world: World, leased: Saga, result: StepResult) -> None:
    assert leased.lease_token is not None
    outcome = Outcome(Held(SagaId(leased.id), LeaseToken(leased.lease_token)), result, leased)
    written = Recording([outcome], definitions=world.definitions.get, lease=timedelta(seconds=1))
    assert await world.database.run(written)


async def tell_failure(world: World, saga: Saga, text: str) -> None:
    task = saga.context["calculations"]["condenser"]["taskId"]
    payload = {"task": task, "commit": None, "error": text}
    await world.database.run(
        lambda c: inbox.send(c, SagaId(saga.id), SignalKind.RESULT, dedupe_key="told", payload=payload)
    )


async def test_a_cancel_during_a_look_that_finds_nothing_does_not_wait_for_the_deadline(world: World) -> None:
    saga = await awaiting_result(world)
    taken = await leased(world, saga)
    assert (await world.service.cancel(ENGINEER, SagaId(saga.id))).saga.status is SagaStatus.CANCELLING
    await report(world, taken, Stayed())
    async with world.running():
        await world.is_now(saga.id, SagaStatus.CANCELLED, timeout=5)


async def test_a_pause_during_a_look_that_finds_nothing_is_obeyed(world: World) -> None:
    saga = await awaiting_result(world)
    taken = await leased(world, saga)
    await world.service.pause(ENGINEER, SagaId(saga.id))
    await report(world, taken, Stayed())
    paused = await world.saga(saga.id)
    assert (paused.status, paused.due_at, paused.look_at) == (SagaStatus.PAUSED, None, None)
    assert (await world.types(saga.id))[-1] is EventType.PAUSED


async def test_a_signal_that_a_failed_attempt_did_not_read_is_read_after_the_pause(world: World) -> None:
    saga = await awaiting_result(world)
    await tell_failure(world, saga, "too hot")
    taken = await leased(world, saga)
    await world.service.pause(ENGINEER, SagaId(saga.id))
    await report(world, taken, TryAgain(RetryableError("DATABASE_UNAVAILABLE", "away")))
    assert (await world.saga(saga.id)).status is SagaStatus.PAUSED
    await world.service.resume(ENGINEER, SagaId(saga.id))
    async with world.running():
        failed = await world.is_now(saga.id, SagaStatus.FAILED, timeout=1.5)
    assert failed.error is not None
    assert "too hot" in failed.error["message"]


async def test_news_do_not_cut_a_back_off_short(world: World) -> None:
    saga = await awaiting_result(world)
    taken = await leased(world, saga)
    await tell_failure(world, saga, "too hot")
    await report(world, taken, TryAgain(RetryableError("GITLAB_UNAVAILABLE", "429", retry_after=3600)))
    put_off = await world.saga(saga.id)
    assert put_off.due_at == put_off.next_attempt_at


async def test_an_error_of_a_failed_attempt_is_gone_once_the_wait_goes_on(world: World) -> None:
    saga = await awaiting_result(world)
    await report(world, await leased(world, saga), TryAgain(RetryableError("GITLAB_UNAVAILABLE", "503")))
    shown = await world.saga(saga.id)
    assert shown.error is not None
    await report(world, await leased(world, saga), Stayed())
    waiting = await world.saga(saga.id)
    assert (waiting.error, waiting.next_attempt_at, waiting.attempts) == (None, None, 0)
    assert waiting.due_at == waiting.deadline_at
    assert "error" not in waiting.context["steps"]["AWAIT_CONDENSER_RESULT"]


async def test_a_retry_that_was_paused_before_it_acted_still_publishes_anew_when_resumed(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        first = await world.published(saga.id, "condenser")
        world.publisher.finish(first, TaskReport(TaskState.FAILED, error="too hot"))
        await world.pushed(BRANCH)
        await world.is_now(saga.id, SagaStatus.FAILED)
    await world.service.retry(ENGINEER, SagaId(saga.id))
    await world.service.pause(ENGINEER, SagaId(saga.id))
    await world.service.resume(ENGINEER, SagaId(saga.id))
    async with world.running():
        second = await world.published(saga.id, "condenser", timeout=5)
    assert second != first


async def test_a_signal_never_wakes_a_form_and_is_kept(world: World) -> None:
    """A form that were leased for a signal could be answered under its lease, and left without anybody to wake it."""
    saga = await world.start()
    world.forge.on_next("create_commit", lambda: tell_failure_early(world, saga))
    async with world.running():
        await world.reaches(saga.id, FORM, SagaStatus.AWAITING_INPUT)
    waiting = await world.saga(saga.id)
    assert (waiting.due_at, waiting.lease_token, waiting.signals) == (None, None, 1)


async def tell_failure_early(world: World, saga: Saga) -> None:
    await world.database.run(
        lambda c: inbox.send(c, SagaId(saga.id), SignalKind.RESULT, dedupe_key="early", payload={"noticed": "abc"})
    )


async def test_a_branch_that_is_gone_for_an_instant_fails_nothing(world: World) -> None:
    """As for tools that rewrite a branch by removing it and making it anew."""
    saga = await awaiting_result(world)
    head = world.forge.head_of(world.project, BRANCH)
    world.forge.remove_branch(world.project, BRANCH)
    seen: list[bool] = []

    def restore() -> None:
        world.forge.add_branch(world.project, BRANCH, ref=head)
        seen.append(True)

    world.forge.on_next("branch", restore, after=True)
    await world.pushed(BRANCH)
    async with world.running():
        await eventually(lambda: seen)
        await world.work(saga.id, "condenser")
        await world.reaches(saga.id, "AWAIT_USER_FEEDWATER_HEATERS_INPUT")
    assert EventType.FAILED not in await world.types(saga.id)


async def test_a_branch_that_goes_while_a_worker_calculates_fails_the_saga_with_its_code(world: World) -> None:
    saga = await awaiting_result(world)
    world.forge.remove_branch(world.project, BRANCH)
    await world.pushed(BRANCH)
    async with world.running():
        failed = await world.is_now(saga.id, SagaStatus.FAILED)
    assert failed.error is not None
    assert failed.error["code"] == "BRANCH_DELETED"
    assert failed.deadline_at is None

"""Rule 9 of the engine: what is decided without a lock is written only where nobody has come between, and else anew."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from sagas.context import SagaContext
from sagas.definition import Trigger
from sagas.errors import RefusalCode, RefusedError, RetryableError, UnknownOutcomeError
from sagas.ids import LeaseToken, SagaId
from sagas.models import EventType, Saga, SagaStatus, SignalKind
from sagas.recorder import Recorder
from sagas.results import Advanced, NewDraft
from sagas.service import Desk, SagaService
from sagas.store import claims, commands, inbox, noticing, prompt, unchanged
from sagas.store.claims import Held
from sagas.store.clock import DatabaseClock
from sagas.store.outcomes import Outcome
from sagas.store.prompt import PromptRecording
from tests.support import eventually
from tests.world import COLLEAGUE, ENGINEER, FAST, World

STEP = "AWAIT_USER_CONDENSER_INPUT"
LEASE = timedelta(seconds=60)
Between = Callable[[World, Saga], Awaitable[object]]


async def leased(world: World, branch: str = "issue/1-test") -> Saga:
    """A new saga, leased in its first step."""
    await world.start(branch)
    (saga,) = await world.database.run(lambda c: claims.claim(c, limit=1, lease=LEASE))
    return saga


def report(saga: Saga) -> Outcome:
    """What the first step of a saga reports."""
    assert saga.lease_token is not None
    context = SagaContext.from_json(saga.context)
    held = Held(SagaId(saga.id), LeaseToken(saga.lease_token))
    return Outcome(held, Advanced(Trigger.INPUT_MISSING, context), saga, context)


def recording(world: World, *outcomes: Outcome) -> PromptRecording:
    clock = DatabaseClock()
    clock.heard(max(outcome.saga.updated_at for outcome in outcomes))
    return PromptRecording(outcomes, definitions=world.definitions.get, lease=LEASE, clock=clock)


async def waiting(world: World, branch: str = "issue/1-test") -> Saga:
    """A saga that waits for the input of its first form."""
    async with world.running():
        saga = await world.start(branch)
        return await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)


async def a_command(world: World, saga: Saga) -> None:
    await world.service.pause(COLLEAGUE, SagaId(saga.id))


async def a_signal(world: World, saga: Saga) -> None:
    await world.database.run(
        lambda c: inbox.send(c, SagaId(saga.id), SignalKind.RESULT, dedupe_key=uuid4().hex, payload={})
    )


async def a_takeover(world: World, saga: Saga) -> None:
    await world.database.run(lambda c: c.execute("UPDATE saga SET due_at = now() WHERE id = $1", saga.id))
    assert await world.database.run(lambda c: claims.claim(c, limit=1, lease=LEASE))


@pytest.mark.parametrize("between", [a_command, a_signal, a_takeover])
async def test_an_outcome_of_a_row_that_has_changed_is_left_and_takes_no_other_with_it(
    world: World, between: Between
) -> None:
    world.forge.add_branch(world.project, "issue/2-other")
    changed, same = await leased(world), await leased(world, "issue/2-other")
    await between(world, changed)
    before = await world.journal(changed.id)
    writing = recording(world, report(changed), report(same))
    made = await world.database.run(writing, single=True)
    assert list(made) == [report(same).held]
    assert writing.unsure == {}
    assert await world.journal(changed.id) == before
    assert (await world.saga(changed.id)).state == changed.state
    assert await world.types(same.id) == [EventType.STARTED, EventType.ENTERED]


async def test_an_outcome_whose_lease_was_renewed_goes_out_promptly(world: World) -> None:
    saga = await leased(world)
    outcome = report(saga)
    assert await world.database.run(lambda c: claims.renew(c, [outcome.held], lease=LEASE))
    assert await world.database.run(recording(world, outcome), single=True)
    assert (await world.saga(saga.id)).version == saga.version + 1


async def test_what_was_written_when_the_answer_was_lost_is_found_and_not_written_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks after the statement is through: no step may be passed over by a report told twice."""
    lost = losing_answers(monkeypatch)
    async with world.running():
        saga = await world.start()
        await world.run_through(saga.id)
    assert len(lost) > 5
    types = await world.types(saga.id)
    assert types.count(EventType.COMMITTED) == 4
    assert types.count(EventType.TASK_PUBLISHED) == len(world.publisher.published) == 3
    assert EventType.ATTEMPT_FAILED not in types
    assert {hint.version for hint in world.announcer.hints} >= set(range(1, len(types) + 1))


async def test_a_report_is_told_of_though_its_lease_is_seen_gone_before_its_answer_is_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gave the lease up itself: whoever looks after leases meanwhile must not take it for a lost one."""
    looks, renew, write = 0, claims.renew, unchanged.move

    async def look(*given: Any, **named: Any) -> Any:
        nonlocal looks
        still = await renew(*given, **named)
        looks += 1
        return still

    async def late(*given: Any, **named: Any) -> Any:
        moved, before = await write(*given, **named), looks
        # The first may have begun before the write; after the second has answered, its answer was acted upon.
        await eventually(lambda: looks >= before + 3, what="leases are looked after")
        return moved

    monkeypatch.setattr(claims, "renew", look)
    async with world.running(replace(FAST, renew_every=timedelta(milliseconds=50))):
        monkeypatch.setattr(unchanged, "move", late)
        saga = await world.start()
        await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
        version = (await world.saga(saga.id)).version
        await eventually(lambda: version in {hint.version for hint in world.announcer.hints}, what="readers are told")


async def test_a_command_whose_answer_was_lost_says_that_it_did_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    saga = await waiting(world)
    lost = losing_answers(monkeypatch)
    for number, command in enumerate((world.service.pause, world.service.resume, world.service.cancel), start=1):
        answer = await command(ENGINEER, SagaId(saga.id))
        assert answer.created
        assert len(lost) == number
        assert answer.saga.version == saga.version + number == (await world.saga(saga.id)).version


def losing_answers(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """From now on each write without a lock succeeds, and its connection breaks before it is answered."""
    lost: list[object] = []
    write = unchanged.move

    async def lose(*given: Any, **named: Any) -> None:
        lost.append(await write(*given, **named))
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    monkeypatch.setattr(unchanged, "move", lose)
    return lost


async def test_a_command_that_was_sent_before_the_database_went_is_not_told_that_nothing_was_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was decided without a lock, and its answer lost; what comes to look under the lock finds no database."""
    saga = await waiting(world)
    world.database.patience = 0.2
    with monkeypatch.context() as patch:
        losing_answers(patch)
        going_away(patch, commands, "lock")
        with pytest.raises(UnknownOutcomeError) as away:
            await world.service.pause(ENGINEER, SagaId(saga.id))
    assert away.value.code == "DATABASE_UNAVAILABLE"
    assert (await world.saga(saga.id)).status is SagaStatus.PAUSED, "it was done indeed"


async def test_a_command_of_which_nothing_was_sent_is_told_that_nothing_was_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    saga = await waiting(world)
    world.database.patience = 0.2
    with monkeypatch.context() as patch:
        going_away(patch, commands, "seen")
        with pytest.raises(RetryableError) as away:
            await world.service.pause(ENGINEER, SagaId(saga.id))
    assert not isinstance(away.value, UnknownOutcomeError)
    assert (await world.saga(saga.id)).version == saga.version


def going_away(monkeypatch: pytest.MonkeyPatch, store: ModuleType, statement: str) -> None:
    """The database is away whenever this statement is to be sent."""

    async def away(*_: object) -> None:
        raise ConnectionRefusedError("away")

    monkeypatch.setattr(store, statement, away)


def elsewhere(world: World) -> SagaService:
    """The use cases of another process."""
    desk = world.desk
    return SagaService(Desk(desk.database, desk.forge, desk.access, desk.definitions, desk.catalogue, desk.announcer))


def coming_between(monkeypatch: pytest.MonkeyPatch, between: Callable[[], Awaitable[object]]) -> None:
    """Have something happen once, after a command has looked at its saga and before it writes."""
    move = unchanged.move
    done = False

    async def after_all(*given: Any, **named: Any) -> Any:
        nonlocal done
        if not done:
            done = True
            await between()
        return await move(*given, **named)

    monkeypatch.setattr(unchanged, "move", after_all)


async def test_a_command_between_whose_look_and_write_the_form_changed_is_refused_and_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    saga = await waiting(world)
    definition = await world.definitions.get(saga.definition_name, saga.definition_version)
    draft = NewDraft({"load": 77}, "0" * 40)
    coming_between(
        monkeypatch,
        lambda: world.database.run(lambda c: noticing.change_draft(c, saga, draft, definition)),
    )
    with pytest.raises(RefusedError) as refused:
        await world.service.advance(
            ENGINEER, SagaId(saga.id), step=STEP, values={"load": 5}, expected_version=saga.version
        )
    assert refused.value.problems[0].code is RefusalCode.VERSION_CONFLICT
    assert EventType.INPUT_RECEIVED not in await world.types(saga.id)


async def test_two_commands_that_saw_the_same_saga_are_both_done_the_second_on_what_the_first_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    saga = await waiting(world)

    async def pause_first() -> None:
        await elsewhere(world).pause(COLLEAGUE, SagaId(saga.id))

    coming_between(monkeypatch, pause_first)
    answer = await world.service.cancel(ENGINEER, SagaId(saga.id), compensate=False)
    assert answer.created
    assert (await world.types(saga.id))[-2:] == [EventType.PAUSED, EventType.CANCEL_REQUESTED]


async def test_what_a_look_remembered_between_is_not_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no event and no version: only the time of the row's last change tells of it."""
    saga = await waiting(world)
    definition = await world.definitions.get(saga.definition_name, saga.definition_version)
    coming_between(
        monkeypatch,
        lambda: world.database.run(lambda c: noticing.remember_merge_requests(c, saga, [41], definition)),
    )
    await world.service.pause(ENGINEER, SagaId(saga.id))
    assert SagaContext.from_json((await world.saga(saga.id)).context).merge_requests == (41,)


async def test_a_key_that_another_saga_took_between_is_refused_and_nothing_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.forge.add_branch(world.project, "issue/2-other")
    saga, other = await waiting(world), await waiting(world, "issue/2-other")

    async def pause_the_other() -> None:
        await elsewhere(world).pause(ENGINEER, SagaId(other.id), idempotency_key="k")

    coming_between(monkeypatch, pause_the_other)
    with pytest.raises(RefusedError) as refused:
        await world.service.pause(ENGINEER, SagaId(saga.id), idempotency_key="k")
    assert refused.value.problems[0].code is RefusalCode.IDEMPOTENCY_CONFLICT
    assert (await world.saga(saga.id)).version == saga.version
    assert (await world.saga(other.id)).status is SagaStatus.PAUSED


def test_the_clock_is_not_trusted_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = [100.0]
    monkeypatch.setattr("sagas.store.clock.time.monotonic", lambda: ticks[0])
    clock, noon = DatabaseClock(), datetime.fromisoformat("2026-01-01T12:00:00+00:00")
    assert clock.now() is None
    clock.heard(noon)
    ticks[0] += 1.5
    assert clock.now() == noon + timedelta(seconds=1.5)
    ticks[0] += 10
    assert clock.now() is None


async def test_a_decision_is_never_dated_before_the_one_that_it_follows(world: World) -> None:
    saga = await leased(world)
    clock = DatabaseClock()
    clock.heard(saga.updated_at - timedelta(milliseconds=500))
    writing = prompt.PromptRecording([report(saga)], definitions=world.definitions.get, lease=LEASE, clock=clock)
    (change,) = (await world.database.run(writing, single=True)).values()
    assert change.now >= saga.updated_at
    now = clock.now()
    assert now is not None
    assert now > saga.updated_at, "the answer has set the clock"


async def test_a_decision_after_the_clock_was_set_back_wakes_its_saga_by_the_clock_as_it_is(world: World) -> None:
    """Dated after the row's last change it would be looked after an hour late."""
    saga = await leased(world)
    before = "UPDATE saga SET updated_at = updated_at + interval '1 hour' WHERE id = $1"
    await world.database.run(lambda c: c.execute(before, saga.id))
    saga = await world.saga(saga.id)
    clock = DatabaseClock()
    clock.heard(await world.database.read(commands.now))
    recorder = Recorder(world.database, world.definitions.get, world.announcer, lease=LEASE, clock=clock)
    await recorder.recorded(report(saga))
    now = await world.database.read(commands.now)
    written = await world.saga(saga.id)
    assert written.version == saga.version + 1
    assert written.updated_at <= now
    assert written.due_at is not None
    assert written.due_at <= now + LEASE

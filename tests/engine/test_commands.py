"""NF-ORCH-2: commands are idempotent, refuse what they must, and change nothing when they refuse."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import uuid4

import pytest

from sagas.errors import RefusalCode, RefusedError
from sagas.ids import SagaId
from sagas.models import EventType, SagaStatus
from sagas.ports import AccessLevel, Json, TaskReport, TaskState
from sagas.service import Desk
from tests.world import COLLEAGUE, ENGINEER, World

BRANCH = "issue/1-test"
STEP = "AWAIT_USER_CONDENSER_INPUT"


async def refusal(call: Awaitable[object]) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        await call
    return caught.value


async def rows(world: World) -> tuple[int, int, int]:
    counts = await world.database.read(
        lambda c: c.fetchrow(
            "SELECT (SELECT count(*) FROM saga), (SELECT count(*) FROM saga_event), "
            "(SELECT count(*) FROM idempotency_record)"
        )
    )
    return tuple(counts)


async def test_fifty_identical_starts_at_once_are_one_saga_created_once(world: World) -> None:
    answers = await asyncio.gather(
        *(
            world.service.start_balance(ENGINEER, project_path="plant/unit", branch=BRANCH, idempotency_key=key)
            for key in [None] * 25 + ["one key"] * 25
        )
    )
    assert len({answer.saga.id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    assert (await rows(world))[0] == 1


async def test_a_key_used_with_other_input_is_refused_and_starts_nothing(world: World) -> None:
    world.forge.add_branch(world.project, "issue/2-other")
    await world.start(key="k")
    before = await rows(world)
    refused = await refusal(
        world.service.start_balance(ENGINEER, project_path="plant/unit", branch="issue/2-other", idempotency_key="k")
    )
    assert refused.problems[0].code is RefusalCode.IDEMPOTENCY_CONFLICT
    assert refused.problems[0].field == ("idempotencyKey",)
    assert await rows(world) == before


@pytest.mark.parametrize("mutation", ["start_balance", "run_calculation", "create_merge_request"])
async def test_a_key_shows_and_starts_nothing_where_its_path_has_become_another_project(
    world: World, mutation: str
) -> None:
    """The input is the same word for word, but the saga that the key stands for may be none of the user's business."""
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "start_balance": lambda: world.service.start_balance(
            ENGINEER, project_path="plant/unit", branch=BRANCH, idempotency_key="k"
        ),
        "run_calculation": lambda: world.service.run_calculation(
            ENGINEER,
            project_path="plant/unit",
            branch=BRANCH,
            calculation="condenser",
            values={"load": 4},
            idempotency_key="k",
        ),
        "create_merge_request": lambda: world.service.create_merge_request(
            ENGINEER, project_path="plant/unit", source_branch=BRANCH, idempotency_key="k"
        ),
    }
    world.forge.write(world.project, BRANCH, "notes.md", "x")
    async with world.running():
        await asked[mutation]()
        other = world.forge.add_project("plant/new", {"balance_input.json": "{}"})
        world.forge.add_branch(other, BRANCH)
        world.forge.move_project(world.project, "plant/old")
        world.forge.move_project(other, "plant/unit")
        before = (await rows(world))[0], (await rows(world))[2]
        opened = world.forge.called("create_merge_request")
        refused = await refusal(asked[mutation]())
    assert refused.problems[0].code is RefusalCode.IDEMPOTENCY_CONFLICT
    assert refused.problems[0].field == ("idempotencyKey",)
    assert ((await rows(world))[0], (await rows(world))[2]) == before
    assert world.forge.called("create_merge_request") == opened


async def test_the_transaction_of_a_start_holds_a_key_to_its_project_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key may have been bound after the first look at it."""
    answer = await world.start(key="k")
    other = world.forge.add_project("plant/new", {"balance_input.json": "{}"})
    world.forge.add_branch(other, BRANCH)
    world.forge.move_project(world.project, "plant/old")
    world.forge.move_project(other, "plant/unit")

    async def too_early(*_: object) -> None:
        return None

    monkeypatch.setattr(Desk, "repeated", too_early)
    refused = await refusal(world.start(key="k"))
    assert refused.problems[0].code is RefusalCode.IDEMPOTENCY_CONFLICT
    assert (await rows(world))[0] == 1
    assert str(answer.id) not in str(refused)


async def test_two_users_may_use_the_same_key(world: World) -> None:
    world.forge.add_branch(world.project, "issue/2-other")
    mine = await world.start(key="k")
    theirs = await world.service.start_balance(
        COLLEAGUE, project_path="plant/unit", branch="issue/2-other", idempotency_key="k"
    )
    assert theirs.created
    assert theirs.saga.id != mine.id


async def test_a_key_still_answers_after_its_saga_has_ended(world: World) -> None:
    async with world.running():
        saga = await world.start(key="k")
        await world.run_through(saga.id)
        again = await world.service.start_balance(
            ENGINEER, project_path="plant/unit", branch=BRANCH, idempotency_key="k"
        )
    assert (again.saga.id, again.created, again.saga.status) == (saga.id, False, SagaStatus.COMPLETED)


Start = Callable[[World], Awaitable[object]]


def start_with(**given: object) -> Start:
    arguments = {"project_path": "plant/unit", "branch": BRANCH} | given
    return lambda world: world.service.start_balance(ENGINEER, **arguments)  # type: ignore[arg-type]  # a test's table


@pytest.mark.parametrize(
    ("start", "code", "field"),
    [
        (start_with(project_path="no/where"), RefusalCode.NOT_FOUND, ("projectPath",)),
        (start_with(branch="nope"), RefusalCode.NOT_FOUND, ("branch",)),
        (start_with(branch=""), RefusalCode.NOT_FOUND, ("branch",)),
        (start_with(branch="main"), RefusalCode.INVALID_INPUT, ("branch",)),
        (start_with(branch=None), RefusalCode.INVALID_INPUT, ("issueIid",)),
        (start_with(branch=None, issue_iid=404), RefusalCode.NOT_FOUND, ("issueIid",)),
        (start_with(idempotency_key=""), RefusalCode.INVALID_INPUT, ("idempotencyKey",)),
        (start_with(branch="without-input"), RefusalCode.NOT_FOUND, ("branch",)),
        (start_with(branch="broken-input"), RefusalCode.INVALID_INPUT, ("branch",)),
        (start_with(branch="protected"), RefusalCode.FORBIDDEN, ("branch",)),
    ],
)
async def test_a_start_that_cannot_be_is_refused_by_field_and_leaves_nothing(
    world: World, start: Start, code: RefusalCode, field: tuple[str, ...]
) -> None:
    for branch in ("without-input", "broken-input", "protected"):
        world.forge.add_branch(world.project, branch)
    world.forge.write(world.project, "without-input", "balance_input.json", None)
    world.forge.write(world.project, "broken-input", "balance_input.json", "[1, 2")
    world.forge.protect(world.project, "protected")
    heads = {name: world.forge.head_of(world.project, name) for name in world.forge.branch_names(world.project)}
    refused = await refusal(start(world))
    assert (refused.problems[0].code, refused.problems[0].field) == (code, field)
    assert await rows(world) == (0, 0, 0)
    assert {name: world.forge.head_of(world.project, name) for name in heads} == heads


@pytest.mark.parametrize(
    ("level", "code"),
    [
        (AccessLevel.NONE, RefusalCode.NOT_FOUND),
        (AccessLevel.GUEST, RefusalCode.FORBIDDEN),
        (AccessLevel.REPORTER, RefusalCode.FORBIDDEN),
    ],
)
async def test_without_the_right_nothing_can_be_started_or_moved(
    world: World, level: AccessLevel, code: RefusalCode
) -> None:
    saga = await world.start()
    world.access.set(COLLEAGUE, world.project.id, level)
    before = await rows(world)
    identity = SagaId(saga.id)
    # A Guest of a private project sees that it is there, but not its code, and so not its sagas.
    unseen = level < AccessLevel.REPORTER
    for number, call in enumerate(
        (
            world.service.start_balance(COLLEAGUE, project_path="plant/unit", branch=BRANCH),
            world.service.advance(COLLEAGUE, identity, step=STEP, values={"load": 1}),
            world.service.retry(COLLEAGUE, identity),
            world.service.pause(COLLEAGUE, identity),
            world.service.resume(COLLEAGUE, identity),
            world.service.cancel(COLLEAGUE, identity),
        )
    ):
        expected = RefusalCode.NOT_FOUND if unseen and number else code
        assert (await refusal(call)).problems[0].code is expected
    assert await rows(world) == before


async def test_a_token_that_may_only_read_starts_and_moves_nothing(world: World) -> None:
    saga = await world.start()
    before = await rows(world)
    looking, identity = replace(ENGINEER, read_only=True), SagaId(saga.id)
    for call in (
        world.service.start_balance(looking, project_path="plant/unit", branch=BRANCH),
        world.service.advance(looking, identity, step=STEP, values={"load": 1}),
        world.service.cancel(looking, identity),
    ):
        refused = await refusal(call)
        assert refused.problems[0].code is RefusalCode.FORBIDDEN
        assert "read_api" in refused.problems[0].message
    assert await rows(world) == before


async def test_an_unknown_saga_reads_like_one_that_may_not_be_seen(world: World) -> None:
    saga = await world.start()
    world.access.set(COLLEAGUE, world.project.id, AccessLevel.NONE)
    hidden = await refusal(world.service.pause(COLLEAGUE, SagaId(saga.id)))
    missing = await refusal(world.service.pause(COLLEAGUE, SagaId(uuid4())))
    assert hidden.problems == missing.problems


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, ("values", "load")),
        ({"load": -1}, ("values", "load")),
        ({"load": "much"}, ("values", "load")),
        ({"load": 1, "colour": "red"}, ("values", "colour")),
        ([], ("values",)),
        ({"load": float("nan")}, ("values", "load")),
    ],
)
async def test_values_that_break_the_schema_name_their_field_and_move_nothing(
    world: World, values: Json, field: tuple[str, ...]
) -> None:
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
    before = await rows(world)
    refused = await refusal(world.service.advance(ENGINEER, SagaId(saga.id), step=STEP, values=values))
    assert refused.problems[0].code is RefusalCode.INVALID_INPUT
    assert refused.problems[0].field == field
    assert await rows(world) == before
    assert (await world.saga(saga.id)).state == STEP


async def test_the_same_values_given_many_times_at_once_move_the_saga_once(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
        answers = await asyncio.gather(
            *(
                world.service.advance(ENGINEER, SagaId(saga.id), step=STEP, values={"load": 5}, idempotency_key=key)
                for key in [None] * 10 + ["k"] * 10
            )
        )
        await world.published(saga.id, "condenser")
    assert sum(answer.created for answer in answers) == 1
    assert (await world.types(saga.id)).count(EventType.INPUT_RECEIVED) == 1


async def test_other_values_for_a_step_already_left_are_refused(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser", load=5)
        refused = await refusal(world.service.advance(ENGINEER, SagaId(saga.id), step=STEP, values={"load": 6}))
    assert refused.problems[0].code is RefusalCode.WRONG_STATE


async def test_a_version_never_seen_is_a_conflict(world: World) -> None:
    async with world.running():
        saga = await world.start()
        waiting = await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
    for version in (0, 1, waiting.version + 1):
        refused = await refusal(
            world.service.advance(ENGINEER, SagaId(saga.id), step=STEP, values={"load": 5}, expected_version=version)
        )
        assert refused.problems[0].code is RefusalCode.VERSION_CONFLICT


async def test_a_paused_saga_keeps_its_signals_and_goes_on_when_resumed(world: World) -> None:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        task = await world.published(saga.id, "condenser")
        paused = (await world.service.pause(ENGINEER, SagaId(saga.id))).saga
        assert (paused.status, paused.state) == (SagaStatus.PAUSED, "AWAIT_CONDENSER_RESULT")
        assert not (await world.service.pause(ENGINEER, SagaId(saga.id))).created
        world.publisher.finish(task, TaskReport(TaskState.FAILED, error="late"))
        await world.pushed(BRANCH)
        assert (await world.saga(saga.id)).status is SagaStatus.PAUSED
        await world.service.resume(ENGINEER, SagaId(saga.id))
        await world.is_now(saga.id, SagaStatus.FAILED)
        refused = await refusal(world.service.pause(ENGINEER, SagaId(saga.id)))
    assert refused.problems[0].code is RefusalCode.WRONG_STATE


async def test_a_pause_lets_the_step_under_way_settle_its_effect_first(world: World) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        entered.set()
        await go_on.wait()

    world.forge.on_next("create_commit", slow, after=True)
    async with world.running():
        saga = await world.start()
        await asyncio.wait_for(entered.wait(), 5)
        asked = (await world.service.pause(ENGINEER, SagaId(saga.id))).saga
        assert asked.status is SagaStatus.RUNNING
        go_on.set()
        paused = await world.is_now(saga.id, SagaStatus.PAUSED)
        assert paused.state == STEP
        await world.service.resume(ENGINEER, SagaId(saga.id))
        await world.run_through(saga.id)
    types = await world.types(saga.id)
    assert types.index(EventType.PAUSE_REQUESTED) < types.index(EventType.COMMITTED) < types.index(EventType.PAUSED)


async def test_a_saga_of_another_kind_on_the_same_files_is_refused_as_busy(world: World) -> None:
    saga = await world.start()
    refused = await refusal(
        world.service.run_calculation(
            ENGINEER, project_path="plant/unit", branch=BRANCH, calculation="condenser", values={"load": 4}
        )
    )
    assert refused.problems[0].code is RefusalCode.BRANCH_BUSY
    assert str(saga.id) in refused.problems[0].message


async def test_a_client_that_goes_away_cuts_no_transaction_in_half(world: World) -> None:
    starting = asyncio.create_task(world.start(key="gone"))
    while world.database.pool.get_idle_size() == world.database.pool.get_size() and not starting.done():
        await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    again = await world.service.start_balance(
        ENGINEER, project_path="plant/unit", branch=BRANCH, idempotency_key="gone"
    )
    sagas, events, keys = await rows(world)
    assert (sagas, events, keys) == (1, 1, 1)
    assert again.saga.version == 1

"""NF-ORCH-2: what a repeated, late or broken request is told; a refusal stores nothing."""

from collections.abc import Awaitable, Callable

import pytest

from sagas.errors import RefusalCode, RefusedError, RetryableError
from sagas.ids import SagaId
from sagas.models import SagaStatus
from sagas.ports import TaskReport, TaskState
from tests.world import ENGINEER, World

BRANCH = "issue/1-test"
STEP = "AWAIT_USER_CONDENSER_INPUT"
NEXT_STEP = "AWAIT_USER_FEEDWATER_HEATERS_INPUT"


async def code_of(call: Awaitable[object]) -> tuple[RefusalCode, tuple[str, ...] | None]:
    with pytest.raises(RefusedError) as caught:
        await call
    return caught.value.problems[0].code, caught.value.problems[0].field


async def failed_calculation(world: World) -> SagaId:
    async with world.running():
        saga = await world.start()
        await world.give(saga.id, "condenser")
        task = await world.published(saga.id, "condenser")
        world.publisher.finish(task, TaskReport(TaskState.FAILED, error="too hot"))
        await world.pushed(BRANCH)
        await world.is_now(saga.id, SagaStatus.FAILED)
    return SagaId(saga.id)


async def test_values_for_a_step_seen_before_the_saga_left_it_are_a_version_conflict(world: World) -> None:
    async with world.running():
        saga = await world.start()
        seen = await world.reaches(saga.id, STEP, SagaStatus.AWAITING_INPUT)
        await world.give(saga.id, "condenser")
        await world.work(saga.id, "condenser")
        now = await world.reaches(saga.id, NEXT_STEP, SagaStatus.AWAITING_INPUT)
    saga_id = SagaId(saga.id)

    def give(version: int | None) -> Awaitable[object]:
        return world.service.advance(ENGINEER, saga_id, step=STEP, values={"load": 7}, expected_version=version)

    assert await code_of(give(seen.version)) == (RefusalCode.VERSION_CONFLICT, ("expectedVersion",))
    assert await code_of(give(now.version)) == (RefusalCode.WRONG_STATE, ("step",))
    assert await code_of(give(None)) == (RefusalCode.WRONG_STATE, ("step",))
    assert (await world.saga(saga.id)).version == now.version


async def test_a_version_that_is_still_to_come_is_told_as_one_that_nobody_has_seen(world: World) -> None:
    saga_id = await failed_calculation(world)
    now = (await world.saga(saga_id)).version
    with pytest.raises(RefusedError, match=f"is at version {now}, so nobody has seen version 99") as refused:
        await world.service.retry(ENGINEER, saga_id, expected_version=99)
    assert refused.value.code == RefusalCode.VERSION_CONFLICT
    assert (await world.saga(saga_id)).version == now


async def test_a_repeated_retry_gets_its_answer_though_gitlab_is_away(world: World) -> None:
    saga_id = await failed_calculation(world)
    first = await world.service.retry(ENGINEER, saga_id, from_step=STEP, idempotency_key="r")
    world.forge.fail_next("get_file_content", RetryableError("GITLAB_UNAVAILABLE", "503"))
    again = await world.service.retry(ENGINEER, saga_id, from_step=STEP, idempotency_key="r")
    assert (first.created, again.created) == (True, False)
    assert again.saga.version == first.saga.version


async def test_a_retry_while_nobody_can_say_who_may_is_refused_like_every_command(world: World) -> None:
    saga_id = await failed_calculation(world)
    world.access.fail_next(RetryableError("GITLAB_UNAVAILABLE", "503"))
    assert (await code_of(world.service.retry(ENGINEER, saga_id)))[0] is RefusalCode.GITLAB_UNAVAILABLE
    assert (await world.saga(saga_id)).status is SagaStatus.FAILED


async def test_text_that_cannot_be_stored_is_refused_by_its_field(world: World) -> None:
    saga = await world.start()
    identity, service = SagaId(saga.id), world.service
    calls: list[tuple[str, Callable[[str], Awaitable[object]]]] = [
        ("idempotencyKey", lambda text: service.pause(ENGINEER, identity, idempotency_key=text)),
        ("reason", lambda text: service.cancel(ENGINEER, identity, reason=text)),
        ("projectPath", lambda text: service.start_balance(ENGINEER, project_path=text, branch=BRANCH)),
        ("branch", lambda text: service.start_balance(ENGINEER, project_path="plant/unit", branch=text)),
        ("step", lambda text: service.advance(ENGINEER, identity, step=text, values={})),
        (
            "title",
            lambda text: service.create_merge_request(
                ENGINEER, project_path="plant/unit", source_branch=BRANCH, title=text
            ),
        ),
    ]
    for field, call in calls:
        for text in ("a\0b", "a\ud800b"):
            assert await code_of(call(text)) == (RefusalCode.INVALID_INPUT, (field,))
    assert (await world.saga(saga.id)).version == saga.version


async def test_a_key_goes_on_naming_the_merge_request_that_it_found(world: World) -> None:
    """Closed by hand meanwhile, it is still the answer: a repeat opens nothing."""
    world.forge.write(world.project, BRANCH, "notes.md", "x")

    async with world.running():
        opened = await world.service.create_merge_request(ENGINEER, project_path="plant/unit", source_branch=BRANCH)
        found = await world.service.create_merge_request(
            ENGINEER, project_path="plant/unit", source_branch=BRANCH, idempotency_key="k"
        )
        world.forge.set_merge_request_state(world.project, opened.merge_request.iid, "closed")
        again = await world.service.create_merge_request(
            ENGINEER, project_path="plant/unit", source_branch=BRANCH, idempotency_key="k"
        )
    assert (opened.created, found.created, again.created) == (True, False, False)
    assert {answer.merge_request.iid for answer in (opened, found, again)} == {opened.merge_request.iid}
    assert again.merge_request.state == "closed"


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("title", "New tubes\n\nSaga-Id: 1\nCorrelation-Id: 2"),
        ("title", "New tubes\r\nX: y"),
        ("title", "New \u2028tubes"),
        ("description", "/merge"),
        ("description", "Please look.\n/copy_metadata group/secret#1\nThanks"),
        ("description", "Please look.\r\n \t\r/Target_Branch main"),
        ("description", "Please look.\n\f\v\u00a0/merge"),
    ],
)
async def test_texts_of_a_merge_request_give_gitlab_no_commands_and_forge_no_trailers(
    world: World, field: str, text: str
) -> None:
    """GitLab carries out `/…` lines with the rights of the service, which are more than its user's."""
    async with world.running():
        request = world.service.create_merge_request(
            ENGINEER,
            project_path="plant/unit",
            source_branch=BRANCH,
            title=text if field == "title" else None,
            description=text if field == "description" else None,
        )
        assert await code_of(request) == (RefusalCode.INVALID_INPUT, (field,))
    assert world.forge.called("create_merge_request") == 0


async def test_paths_and_slashes_within_a_line_are_no_commands(world: World) -> None:
    world.forge.write(world.project, BRANCH, "notes.md", "x")
    text = "See `/merge` and a/b:\n1/2 of it\n// aside\n/ 2" + " " * 50_000 + "\n" * 40_000
    async with world.running():
        answer = await world.service.create_merge_request(
            ENGINEER, project_path="plant/unit", source_branch=BRANCH, title="a/b", description=text
        )
    assert answer.created

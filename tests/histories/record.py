"""Records what this release leaves of sagas that are under way: `python -m tests.histories.record tests/histories/release_2`.

Part of a release, where the engine's rows or the definitions have changed since the last one. The folder must be new:
what was recorded once is never made again, since no later release could.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from app.demo.sample import user_inputs
from sagas.errors import RetryableError
from sagas.ids import SagaId
from sagas.models import Saga, SagaStatus
from sagas.ports import Json, TaskReport, TaskState
from tests.histories import stage
from tests.histories.stage import BRANCH, History
from tests.support import eventually
from tests.support_postgres import TestServer, embedded_server
from tests.world import ENGINEER, World

FIRST, SECOND = "AWAIT_USER_CONDENSER_INPUT", "AWAIT_USER_FEEDWATER_HEATERS_INPUT"
Story = Callable[[World], Awaitable[Saga]]


async def preparing(world: World) -> Saga:
    """Accepted, and not taken up by any engine yet."""
    return (await world.service.start_balance(ENGINEER, project_path="plant/unit", issue_iid=1)).saga


async def at_first_form(world: World) -> Saga:
    async with world.running():
        return await world.reaches((await preparing(world)).id, FIRST, SagaStatus.AWAITING_INPUT)


async def committing(world: World) -> Saga:
    """The first form was answered; no engine has come to it."""
    saga = await at_first_form(world)
    await _give(world, saga)
    return saga


async def awaiting_first_result(world: World) -> Saga:
    saga = await at_first_form(world)
    async with world.running():
        await _give(world, saga)
        return await world.reaches(saga.id, "AWAIT_CONDENSER_RESULT", SagaStatus.AWAITING_RESULT)


async def told_of_the_result(world: World) -> Saga:
    """The watcher's signal is in the inbox, and nobody has read it yet."""
    saga = await awaiting_first_result(world)
    await stage.calculate(world, saga)
    await world.engine()._watcher._round()
    return saga


async def at_second_form(world: World) -> Saga:
    saga = await awaiting_first_result(world)
    async with world.running():
        await stage.calculate(world, saga)
        return await world.reaches(saga.id, SECOND, SagaStatus.AWAITING_INPUT)


async def awaiting_last_result(world: World) -> Saga:
    saga = await at_second_form(world)
    async with world.running():
        await _give(world, saga)
        saga = await world.reaches(saga.id, "AWAIT_FEEDWATER_HEATERS_RESULT", SagaStatus.AWAITING_RESULT)
        await stage.calculate(world, saga)
        return await world.reaches(saga.id, "AWAIT_BALANCE_RESULT", SagaStatus.AWAITING_RESULT)


async def failed(world: World) -> Saga:
    """The worker has given up; a retry publishes a new task."""
    saga = await awaiting_first_result(world)
    task = await world.published(saga.id, "condenser")
    world.publisher.finish(task, TaskReport(TaskState.FAILED, error="no convergence"))
    async with world.running():
        await world.pushed(BRANCH)
        return await world.is_now(saga.id, SagaStatus.FAILED)


async def paused(world: World) -> Saga:
    saga = await awaiting_first_result(world)
    return (await world.service.pause(ENGINEER, SagaId(saga.id))).saga


async def backing_off(world: World) -> Saga:
    """GitLab was away when it was asked; the next attempt is still to come."""
    world.forge.fail_next("create_branch", RetryableError("GITLAB_UNAVAILABLE", "503", retry_after=3))
    saga = await preparing(world)
    async with world.running():

        async def tried() -> bool:
            return (await world.saga(saga.id)).attempts == 1

        await eventually(tried)
    return saga


async def cancelling(world: World) -> Saga:
    """Everything is still to be undone."""
    saga = await at_second_form(world)
    return (await world.service.cancel(ENGINEER, SagaId(saga.id), reason="wrong plant")).saga


async def opening_merge_request(world: World) -> Saga:
    world.forge.add_branch(world.project, BRANCH)
    asked = asyncio.create_task(
        world.service.create_merge_request(
            ENGINEER, project_path="plant/unit", source_branch=BRANCH, title="Tubes", idempotency_key="one"
        )
    )
    statement = "SELECT id FROM saga WHERE definition_name = 'merge_request'"

    async def there() -> UUID | None:
        found: UUID | None = await world.database.read(lambda c: c.fetchval(statement))
        return found

    saga = await world.saga(await eventually(there))
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    return saga


def alone(name: str, *, published: bool) -> Story:
    """A single calculation: accepted, or with its task at a worker."""

    async def story(world: World) -> Saga:
        world.forge.add_branch(world.project, BRANCH)
        for path in _needed(world, name):
            world.forge.write(world.project, BRANCH, path, '{"made": "before"}\n')
        answer = await world.service.run_calculation(
            ENGINEER, project_path="plant/unit", branch=BRANCH, calculation=name, values=_values(world, name)
        )
        if not published:
            return answer.saga
        async with world.running():
            state = f"AWAIT_{name.upper()}_RESULT"
            return await world.reaches(answer.saga.id, state, SagaStatus.AWAITING_RESULT)

    return story


STORIES: Mapping[str, tuple[Story, SagaStatus]] = {
    "balance-preparing": (preparing, SagaStatus.COMPLETED),
    "balance-at-first-form": (at_first_form, SagaStatus.COMPLETED),
    "balance-committing": (committing, SagaStatus.COMPLETED),
    "balance-awaiting-first-result": (awaiting_first_result, SagaStatus.COMPLETED),
    "balance-told-of-the-result": (told_of_the_result, SagaStatus.COMPLETED),
    "balance-at-second-form": (at_second_form, SagaStatus.COMPLETED),
    "balance-awaiting-last-result": (awaiting_last_result, SagaStatus.COMPLETED),
    "balance-failed": (failed, SagaStatus.COMPLETED),
    "balance-paused": (paused, SagaStatus.COMPLETED),
    "balance-backing-off": (backing_off, SagaStatus.COMPLETED),
    "balance-cancelling": (cancelling, SagaStatus.CANCELLED),
    "merge_request-opening": (opening_merge_request, SagaStatus.COMPLETED),
    **{
        f"calculation_{name}-{moment}": (alone(name, published=moment == "calculating"), SagaStatus.COMPLETED)
        for name in ("condenser", "feedwater_heaters", "balance")
        for moment in ("accepted", "calculating")
    },
}


def _needed(world: World, name: str) -> list[str]:
    return [world.catalogue.calculation(other).output_file for other in world.catalogue.calculation(name).depends_on]


def _values(world: World, name: str) -> Json:
    calculation = world.catalogue.calculation(name)
    sources = {
        rule.source: json.loads(world.forge.read(world.project, "main", rule.source) or "{}")
        for rule in calculation.hydration
    }
    there = world.forge.read(world.project, "main", calculation.input_file)
    return user_inputs(name, json.loads(there) if there else calculation.hydrate(sources))


async def _give(world: World, saga: Saga) -> None:
    statement = "SELECT document FROM draft WHERE saga_id = $1 AND state = $2 AND visit = $3"
    draft = await world.database.read(lambda c: c.fetchval(statement, saga.id, saga.state, saga.visit))
    name = saga.state.removeprefix("AWAIT_USER_").removesuffix("_INPUT").lower()
    given = user_inputs(name, draft)
    await world.service.advance(
        ENGINEER, SagaId(saga.id), step=saga.state, values=given, idempotency_key=f"{saga.state}/{saga.visit}"
    )


async def recorded(name: str, server: TestServer) -> History:
    """One story, played in a database of its own."""
    story, ends = STORIES[name]
    with server.database() as url:
        async with stage.stage(url) as world:
            await stage.register(world)
            saga = await story(world)
            return await stage.record(world, saga.id, ends=ends)


def main(folder: Path) -> None:
    """Record every story into the new folder."""
    folder.mkdir(parents=True)
    definitions: dict[str, Any] = {}
    with embedded_server() as server:
        for name in STORIES:
            history = asyncio.run(recorded(name, server))
            key = str(history.definition["name"])
            definitions[key] = history.definition
            _write(folder / f"{name}.json", asdict(history) | {"definition": key})
    _write(folder / "definitions.json", definitions)


def _write(file: Path, document: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))

"""What each of the four requests of the API benchmark sends to the database: counted, so that none creeps in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import asyncpg

from sagas.models import SagaStatus
from tests.app.api import Api, saga_id, serving
from tests.app.test_queries import counted
from tests.benchmarks.api_documents import ADVANCE, SAGA, SAGAS, START, STEP
from tests.world import World


@contextmanager
def sent(api: Api) -> Iterator[list[str]]:
    """The statements that reads and commands send meanwhile, BEGIN and COMMIT among them."""
    with counted(api) as statements:

        def note(query: Any) -> None:
            statements.append(query.query)

        pool = api.world.database.pool
        connections: list[asyncpg.Connection[Any]] = [
            holder._con for holder in pool._holders if holder._con is not None
        ]
        for connection in connections:
            connection.add_query_logger(note)
        try:
            yield statements
        finally:
            for connection in connections:
                connection.remove_query_logger(note)
            assert pool.get_size() == len(connections), "a connection was opened meanwhile, and not listened to"


async def told(api: Api, query: str, **variables: Any) -> list[str]:
    """What an operation sends; it must do what it is asked."""
    with sent(api) as statements:
        data = await api.ask(query, **variables)
    (answer,) = data.values()
    assert answer, data
    assert not answer.get("userErrors"), answer
    return statements


async def waiting_sagas(world: World, many: int) -> list[str]:
    """Made by an engine that is at rest again."""
    rows = []
    async with world.running():
        for number in range(many):
            world.forge.add_branch(world.project, f"issue/{number}-bench")
            rows.append(await world.start(f"issue/{number}-bench"))
        for row in rows:
            await world.reaches(row.id, STEP, SagaStatus.AWAITING_INPUT)
    return [saga_id(row) for row in rows]


async def test_a_saga_is_read_by_one_statement(world: World) -> None:
    (waiting,) = await waiting_sagas(world, 1)
    async with serving(world, engine=False) as api:
        await api.ask(SAGA, id=waiting)
        statements = await told(api, SAGA, id=waiting)
    assert len(statements) == 1, "\n".join(statements)


async def test_a_page_is_read_by_two_statements_which_ask_for_projects_and_sagas(world: World) -> None:
    await waiting_sagas(world, 2)
    async with serving(world, engine=False) as api:
        await api.ask(SAGAS, first=50)
        statements = await told(api, SAGAS, first=50)
    assert len(statements) == 2, "\n".join(statements)


async def test_a_start_takes_no_more_statements_than_it_did(world: World) -> None:
    async with serving(world, engine=False) as api:
        for number in (1, 2):
            world.forge.add_branch(world.project, f"issue/{number}-bench")
            given = {
                "projectPath": world.project.path,
                "branch": f"issue/{number}-bench",
                "idempotencyKey": str(uuid4()),
            }
            statements = await told(api, START, input=given)
    # Is the key known; then, between BEGIN and COMMIT: the lock, the key again, the branch's live sagas, all that it writes.
    assert len(statements) <= 7, "\n".join(statements)


async def test_an_input_takes_no_more_statements_than_it_did(world: World) -> None:
    waiting = await waiting_sagas(world, 2)
    async with serving(world, engine=False) as api:
        for saga in waiting:
            given = {"sagaId": saga, "step": STEP, "values": {"load": 5}, "idempotencyKey": str(uuid4())}
            statements = await told(api, ADVANCE, input=given)
    # Whose saga it is; what the decision needs; all that it writes.
    assert len(statements) <= 3, "\n".join(statements)

"""Where requests race: two APIs and two engines that share nothing but the database; the fixtures of these tests."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from app.demo.client import GraphQLClient
from sagas.models import SagaStatus
from tests.processes.stage import Stage
from tests.processes.users import change, look
from tests.support import eventually
from tests.support_emulator import Emulator
from tests.support_postgres import TestServer

APIS = ("api-1", "api-2")
ENGINES = ("engine-1", "engine-2")
PATIENCE_S = 90.0


@pytest.fixture(scope="module")
def stage(postgres: TestServer, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with postgres.database() as url:
        made = Stage(emulator, url, tmp_path_factory.mktemp("races"), lease_s=6)
        try:
            for name in APIS:
                made.api(name)
            for name in ENGINES:
                made.engine(name)
            yield made
        finally:
            made.close()


@pytest.fixture
async def clients(stage: Stage) -> AsyncIterator[list[GraphQLClient]]:
    async with AsyncExitStack() as closing:
        for name in APIS:
            await stage.answers(name)
        yield [await closing.enter_async_context(GraphQLClient(stage.graphql(name), timeout=120)) for name in APIS]


@pytest.fixture
def branch(stage: Stage) -> str:
    """A branch of the test's own."""
    name = f"issue/{100 + len(stage.in_gitlab()['branches'])}-race"
    stage.make_branch(name)
    return name


async def first_form(stage: Stage, clients: list[GraphQLClient], branch: str) -> str:
    """A saga that waits in its first form; its id."""
    given = {"projectPath": stage.project.path, "branch": branch, "idempotencyKey": f"{branch} start"}
    saga = str((await change(clients[0], "startBalanceCalculation", given))["saga"]["id"])

    async def waits() -> bool:
        return bool((await look(clients[0], saga))["status"] == SagaStatus.AWAITING_INPUT)

    assert await eventually(waits, timeout=PATIENCE_S)
    return saga

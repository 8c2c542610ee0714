from collections.abc import AsyncIterator, Iterator

import pytest

from sagas.ids import CommitSha
from sagas.ports import Project
from tests.contract.server_world import ServerWorld
from tests.contract.worlds import BRANCH, INPUT, FakeWorld, World
from tests.support_emulator import Emulator, start_emulator


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One GitLab emulator for this test process; each test makes its own projects."""
    with start_emulator(tmp_path_factory.mktemp("gitlab")) as running:
        yield running


@pytest.fixture
async def server_world(emulator: Emulator) -> AsyncIterator[ServerWorld]:
    """The facade over the running emulator."""
    world = ServerWorld(emulator.url, emulator.admin_token)
    yield world
    await world.forge.aclose()


@pytest.fixture(params=["fake", "server"])
def world(request: pytest.FixtureRequest) -> World:
    """The fake, and the facade over a running emulator: one behaviour."""
    if request.param == "fake":
        return FakeWorld()
    server: ServerWorld = request.getfixturevalue("server_world")
    return server


@pytest.fixture
def project(world: World) -> Project:
    return world.add_project({"balance_input.json": INPUT, "docs/notes.txt": "Температура\n"})


@pytest.fixture
async def head(world: World, project: Project) -> CommitSha:
    """The head of the branch `issue/7-condenser`, made from main."""
    return (await world.forge.create_branch(project.id, BRANCH, ref="main")).head

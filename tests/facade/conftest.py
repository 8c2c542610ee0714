from collections.abc import AsyncIterator, Iterator

import pytest

from gitlab_facade import GitLabFacade
from tests.facade.scripted_server import ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer().running() as running:
        yield running


@pytest.fixture
async def facade(server: ScriptedServer) -> AsyncIterator[GitLabFacade]:
    facade = GitLabFacade(server.url, "service-token", timeout=(3, 30), concurrency=2)
    yield facade
    await facade.aclose()


@pytest.fixture
async def impatient_facade(server: ScriptedServer) -> AsyncIterator[GitLabFacade]:
    """For tests in which the time-out is what must happen: any other could meet it on a busy machine."""
    facade = GitLabFacade(server.url, "service-token", timeout=(3, 0.5), concurrency=2)
    yield facade
    await facade.aclose()

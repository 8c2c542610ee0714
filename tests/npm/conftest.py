from collections.abc import AsyncIterator

import pytest

from tests.app.api import Api, serving
from tests.app.listening import Listener, listening
from tests.world import World, new_world


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with new_world(database_url) as made:
        yield made


@pytest.fixture
async def api(world: World) -> AsyncIterator[Api]:
    """The service with an engine at work."""
    async with serving(world) as made:
        yield made


@pytest.fixture
async def server(api: Api) -> AsyncIterator[Listener]:
    """The service on a port."""
    async with listening(api.app) as made:
        yield made

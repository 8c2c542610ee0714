from collections.abc import AsyncIterator

import pytest

from tests.app.api import Api, serving
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

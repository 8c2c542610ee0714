from collections.abc import AsyncIterator

import pytest

from tests.app.api import Api, serving
from tests.telemetry.told import Told, telling_all
from tests.world import World, new_world


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with new_world(database_url) as made:
        yield made


@pytest.fixture
def told() -> Told:
    """Everything that the service tells of itself."""
    return telling_all()


@pytest.fixture
async def api(world: World, told: Told) -> AsyncIterator[Api]:
    """The service with an engine at work, and telemetry on."""
    async with serving(world, telemetry=told.telemetry) as made:
        yield made

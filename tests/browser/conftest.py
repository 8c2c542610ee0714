from collections.abc import AsyncIterator

import pytest

from tests.app.api import Api, serving
from tests.browser.visit import Visit, visiting
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
async def visit(api: Api, request: pytest.FixtureRequest) -> AsyncIterator[Visit]:
    """A browser on the running service; whatever its pages complain about fails the test in the end."""
    async with visiting(api, name=request.node.name) as made:
        yield made
        assert made.trouble == []

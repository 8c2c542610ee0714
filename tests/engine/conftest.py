"""The engine's world on a fresh database."""

from collections.abc import AsyncIterator

import pytest

from tests.world import World, new_world


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with new_world(database_url) as fresh:
        yield fresh

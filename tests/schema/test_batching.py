import asyncio
from collections.abc import Sequence

from schema.batching import Batching


async def test_whoever_asks_after_another_gave_up_is_answered() -> None:
    asked: list[list[int]] = []

    async def read(keys: list[int]) -> Sequence[int]:
        asked.append(keys)
        await asyncio.sleep(0)
        return [key * 10 for key in keys]

    for turns in range(4):
        loader: Batching[int, int] = Batching(read, cache=False)
        given_up = asyncio.ensure_future(loader.load(1))
        for _ in range(turns):
            await asyncio.sleep(0)
        given_up.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert await loader.load(2) == 20
    assert [2] in asked or [1, 2] in asked


async def test_an_error_that_nobody_waits_for_is_no_trouble() -> None:
    async def broken(keys: list[int]) -> Sequence[int]:
        raise ZeroDivisionError

    loader: Batching[int, int] = Batching(broken, cache=False)
    given_up = asyncio.ensure_future(loader.load(1))
    given_up.cancel()
    await asyncio.sleep(0.01)
    assert given_up.cancelled()

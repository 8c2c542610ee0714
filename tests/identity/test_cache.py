"""The cache of answers: short-lived, bounded, one question at a time."""

import asyncio

import pytest

from app.cache import AnswerCache


class Oracle:
    def __init__(self) -> None:
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.fault: Exception | None = None

    async def __call__(self) -> int:
        self.asked += 1
        asked = self.asked
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return asked


async def test_an_answer_holds_for_its_time_and_no_longer() -> None:
    oracle = Oracle()
    lasting: AnswerCache[str, int] = AnswerCache(ttl=60, size=10)
    assert [await lasting.get("a", oracle), await lasting.get("a", oracle), await lasting.get("b", oracle)] == [1, 1, 2]
    fleeting: AnswerCache[str, int] = AnswerCache(ttl=0, size=10)
    assert [await fleeting.get("a", oracle), await fleeting.get("a", oracle)] == [3, 4]


async def test_many_callers_ask_once() -> None:
    oracle, cache = Oracle(), AnswerCache[str, int](ttl=60, size=10)
    oracle.gate.clear()
    callers = [asyncio.create_task(cache.get("a", oracle)) for _ in range(50)]
    await asyncio.sleep(0)
    oracle.gate.set()
    assert set(await asyncio.gather(*callers)) == {1}


async def test_a_caller_who_gives_up_does_not_take_the_answer_from_others() -> None:
    oracle, cache = Oracle(), AnswerCache[str, int](ttl=60, size=10)
    oracle.gate.clear()
    impatient, patient = (asyncio.create_task(cache.get("a", oracle)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    oracle.gate.set()
    assert await patient == 1
    assert impatient.cancelled()


async def test_an_error_is_told_to_all_who_wait_and_not_kept() -> None:
    oracle, cache = Oracle(), AnswerCache[str, int](ttl=60, size=10)
    oracle.fault = LookupError("away")
    results = await asyncio.gather(*(cache.get("a", oracle) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, LookupError) for result in results)
    oracle.fault = None
    assert await cache.get("a", oracle) == 2


async def test_an_error_that_nobody_waits_for_any_more_is_not_reported_as_lost() -> None:
    oracle, cache = Oracle(), AnswerCache[str, int](ttl=60, size=10)
    oracle.gate.clear()
    oracle.fault = LookupError("away")
    caller = asyncio.create_task(cache.get("a", oracle))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    oracle.gate.set()
    await asyncio.sleep(0.01)


async def test_the_longest_unused_answer_goes_first() -> None:
    oracle, cache = Oracle(), AnswerCache[str, int](ttl=60, size=2)
    await cache.get("a", oracle)
    await cache.get("b", oracle)
    await cache.get("a", oracle)
    await cache.get("c", oracle)
    assert await cache.get("a", oracle) == 1
    assert await cache.get("b", oracle) == 4


async def test_forgetting_also_holds_for_the_answer_under_way() -> None:
    oracle, cache = Oracle(), AnswerCache[str, int](ttl=60, size=10)
    oracle.gate.clear()
    early = asyncio.create_task(cache.get("a", oracle))
    await asyncio.sleep(0)
    cache.forget()
    oracle.gate.set()
    assert await early == 1
    assert await cache.get("a", oracle) == 2

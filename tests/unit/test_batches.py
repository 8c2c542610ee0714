"""Design rule 9: sharing a transaction costs a lone item no wait, and a poisoned one takes no other with it."""

import asyncio
from collections.abc import Sequence

import pytest

from sagas.batches import ENOUGH, LARGEST, Batches
from sagas.errors import RefusalCode, RefusedError, RetryableError, refused


class Writer:
    """Notes the batches that it gets, and takes as long as it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def write(self, items: Sequence[int]) -> Sequence[int | RefusedError]:
        self.batches.append(list(items))
        await self.may_go_on.wait()
        if -1 in items:
            raise ValueError("poisoned")
        if -2 in items:
            raise RetryableError("DATABASE_UNAVAILABLE", "away")
        return [refused(RefusalCode.WRONG_STATE, "no") if item == 0 else item * 10 for item in items]


async def waiting(batches: Batches[int, int], items: Sequence[int]) -> list[asyncio.Task[int]]:
    """The items on their way, in this order."""
    tasks = [asyncio.create_task(batches.add(item)) for item in items]
    await asyncio.sleep(0)
    return tasks


async def test_what_gathers_while_one_is_written_goes_out_together_and_the_first_waits_for_nobody() -> None:
    writer = Writer()
    batches: Batches[int, int] = Batches(writer.write)
    writer.may_go_on.clear()
    first = await waiting(batches, [1])
    await asyncio.sleep(0)
    assert writer.batches == [[1]]
    others = await waiting(batches, [2, 3, 4])
    writer.may_go_on.set()
    assert await asyncio.gather(*first, *others) == [10, 20, 30, 40]
    assert writer.batches == [[1], [2, 3, 4]]


async def test_a_poisoned_item_is_tried_alone_and_takes_no_other_with_it() -> None:
    writer = Writer()
    batches: Batches[int, int] = Batches(writer.write)
    answers = await asyncio.gather(*(batches.add(item) for item in (1, -1, 2)), return_exceptions=True)
    assert (answers[0], answers[2]) == (10, 20)
    assert isinstance(answers[1], ValueError)
    assert writer.batches == [[1, -1, 2], [1], [-1], [2]]


async def test_a_refusal_reaches_its_own_caller_only() -> None:
    batches: Batches[int, int] = Batches(Writer().write)
    answers = await asyncio.gather(*(batches.add(item) for item in (1, 0)), return_exceptions=True)
    assert answers[0] == 10
    assert isinstance(answers[1], RefusedError)


async def test_a_database_that_is_away_is_told_to_all_at_once_and_not_asked_again_for_each() -> None:
    writer = Writer()
    batches: Batches[int, int] = Batches(writer.write)
    answers = await asyncio.gather(*(batches.add(item) for item in (1, -2, 3)), return_exceptions=True)
    assert all(isinstance(answer, RetryableError) for answer in answers)
    assert len(writer.batches) == 1


async def test_items_that_must_stay_apart_go_one_after_the_other_in_their_order() -> None:
    writer = Writer()
    batches: Batches[int, int] = Batches(writer.write, apart=lambda item: item % 10)
    await asyncio.gather(*(batches.add(item) for item in (11, 12, 21, 31, 22)))
    assert writer.batches == [[11, 12], [21, 22], [31]]


async def test_a_batch_has_a_largest_size_and_keeps_the_order() -> None:
    writer = Writer()
    batches: Batches[int, int] = Batches(writer.write)
    await asyncio.gather(*(batches.add(item) for item in range(1, LARGEST + 3)))
    assert writer.batches == [list(range(1, LARGEST + 1)), [LARGEST + 1, LARGEST + 2]]


async def test_an_item_is_written_also_where_its_caller_goes_away() -> None:
    writer = Writer()
    batches: Batches[int, int] = Batches(writer.write)
    writer.may_go_on.clear()
    (gone,) = await waiting(batches, [1])
    (left,) = await waiting(batches, [2])
    for task in (gone, left):
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    writer.may_go_on.set()
    assert await batches.add(3) == 30
    assert writer.batches == [[1], [2, 3]]


async def test_while_one_batch_is_under_way_a_second_sets_out_with_enough_items_and_no_third() -> None:
    writer = Writer()
    batches: Batches[int, int] = Batches(writer.write)
    writer.may_go_on.clear()
    going = await waiting(batches, [1])
    await asyncio.sleep(0)
    going += await waiting(batches, range(2, ENOUGH + 1))
    await asyncio.sleep(0)
    assert writer.batches == [[1]], "few items are cheaper together"
    going += await waiting(batches, range(ENOUGH + 1, 4 * ENOUGH))
    await asyncio.sleep(0)
    assert len(writer.batches) == 2
    writer.may_go_on.set()
    assert await asyncio.gather(*going) == [10 * item for item in range(1, 4 * ENOUGH)]
    assert sorted(item for batch in writer.batches for item in batch) == list(range(1, 4 * ENOUGH))


async def test_items_that_must_stay_apart_are_never_under_way_together() -> None:
    writer = Writer()
    batches: Batches[int, int] = Batches(writer.write, apart=lambda item: item % 100)
    writer.may_go_on.clear()
    going = await waiting(batches, [1])
    await asyncio.sleep(0)
    going += await waiting(batches, [101, 201, *range(2, ENOUGH + 2)])
    await asyncio.sleep(0)
    assert writer.batches == [[1], list(range(2, ENOUGH + 2))]
    writer.may_go_on.set()
    await asyncio.gather(*going)
    assert writer.batches[2:] == [[101], [201]]


async def test_a_write_that_is_cut_off_keeps_nobody_waiting_and_later_items_are_written() -> None:
    cut = asyncio.Event()

    async def write(items: Sequence[int]) -> Sequence[int]:
        if not cut.is_set():
            cut.set()
            raise asyncio.CancelledError
        return items

    batches: Batches[int, int] = Batches(write, apart=lambda item: item)
    with pytest.raises(asyncio.CancelledError):
        await batches.add(1)
    assert await asyncio.gather(*(batches.add(item) for item in (1, 2))) == [1, 2]

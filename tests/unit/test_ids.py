"""Identities of new sagas: in the order of time, and not to be guessed."""

import time
from collections.abc import Callable
from itertools import pairwise
from uuid import RFC_4122

import pytest

from sagas.ids import new_saga_id


def test_a_sagas_id_is_a_uuid_of_version_7_that_begins_with_its_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    made = new_saga_id()
    after = time.time_ns() // 1_000_000

    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= after


def test_ids_of_one_moment_share_nothing_but_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _at(monkeypatch, lambda: 1_800_000_000_000_000_000)
    made = [new_saga_id() for _ in range(1_000)]

    assert {each.int >> 80 for each in made} == {1_800_000_000_000}
    assert len({each.int & (1 << 62) - 1 for each in made}) == len(made)


def test_ids_of_later_moments_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(1_800_000_000_000_000_000, 1_900_000_000_000_000_000, 1_000_000))
    _at(monkeypatch, lambda: next(moments))
    made = [new_saga_id() for _ in range(100)]

    assert all(earlier < later for earlier, later in pairwise(made))


def _at(monkeypatch: pytest.MonkeyPatch, clock: Callable[[], int]) -> None:
    monkeypatch.setattr(time, "time_ns", clock)

"""COMMITs whose answer never comes: the transaction is there, and its client sees a broken connection."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import asyncpg
import pytest

from sagas.faults import crash_point
from sagas.store import database


@contextmanager
def losing_commits(monkeypatch: pytest.MonkeyPatch, place: str, lose: Callable[[int], bool]) -> Iterator[list[int]]:
    """Within the block, the answer of the n-th COMMIT at a crash point is lost where `lose(n)` says so; yields which."""
    lost: list[int] = []
    count = 0

    def pass_or_lose(name: str) -> None:
        nonlocal count
        crash_point(name)
        if name == f"{place}.after":
            count += 1
            if lose(count):
                lost.append(count)
                raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    with monkeypatch.context() as patch:
        patch.setattr(database, "crash_point", pass_or_lose)
        yield lost

"""What is not immediate on a real GitLab, made adjustable: all delays are zero until somebody sets them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class LagSettings:
    """Delays in seconds."""

    branch_list_s: float = 0
    """How long a list of branches is served from a cache, per user and parameters (30 s on a real server)."""
    merge_status_s: float = 0
    """How long a merge request stays `preparing`, then as long `checking`, after it was made or its source moved."""
    webhook_s: float = 0
    """How long a webhook waits before its first delivery."""
    pretend_next_branch_page: bool = False
    """Whether a full first page of branches always announces a second one, as some servers do."""


class Lag:
    """The settings in force, and the cache of branch lists."""

    def __init__(self) -> None:
        self.settings = LagSettings()
        self._lock = threading.Lock()
        self._lists: dict[tuple[object, ...], tuple[float, object]] = {}

    def change(self, settings: LagSettings) -> None:
        """Take new delays; what was cached under the old ones is forgotten."""
        with self._lock:
            self.settings = settings
            self._lists.clear()

    def cached(self, key: tuple[object, ...], read: Callable[[], list[Value]]) -> list[Value]:
        """`read()`, or what it answered for the same key within the last `branch_list_s` seconds."""
        seconds = self.settings.branch_list_s
        if seconds <= 0:
            return read()
        now = time.monotonic()
        with self._lock:
            known = self._lists.get(key)
        if known is not None and known[0] > now and isinstance(known[1], list):
            return known[1]
        fresh = read()
        with self._lock:
            self._lists[key] = (now + seconds, fresh)
        return fresh

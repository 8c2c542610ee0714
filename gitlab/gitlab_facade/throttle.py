"""How long GitLab wants to be left alone by the service's token: one wish holds for every call of every process.

GitLab counts requests per token and minute. Whoever goes on asking within a period that is used up only gets more 429s,
and so does everybody else; so the wish that one call is told is kept for all.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus

from sagas.errors import RetryableError
from sagas.texts import say

logger = logging.getLogger(__name__)

LONGEST_S = 300.0
"""Whatever a header says, GitLab is asked again after so many seconds, and may say it once more."""
_NEWS_S = 0.5
"""A wish that goes on for less than this is none worth telling of: each 429 of a period names the same end."""


class Throttle:
    """The wish that holds now; for threads and the event loop alike."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self.tell: Callable[[float], None] | None = None
        """Called with the seconds of each new wish, in the thread that was told it, so that others can `hear` it."""

    def heed(self, status: int, headers: Mapping[str, str], wish: float | None) -> None:
        """Take note of an answer: `wish` are the seconds that its headers name.

        Only what GitLab says of the token's quota holds for all; the limit of a single endpoint comes without.
        """
        if "RateLimit-Reset" not in headers or wish is None:
            return
        used_up = headers.get("RateLimit-Remaining", "").strip() == "0"
        if (used_up or status == HTTPStatus.TOO_MANY_REQUESTS) and self.hear(wish) and self.tell is not None:
            logger.warning("GitLab has asked to be left alone for %.0f s", wish)
            self.tell(min(wish, LONGEST_S))

    def hear(self, seconds: float) -> bool:
        """Keep a wish; False where it is known already."""
        until = time.monotonic() + min(seconds, LONGEST_S)
        with self._lock:
            news = until > self._until + _NEWS_S
            self._until = max(until, self._until)
        return news

    def remaining_s(self) -> float:
        """Seconds until GitLab may be asked again; 0: now."""
        return max(0.0, self._until - time.monotonic())

    def refuse(self) -> None:
        """Raise RetryableError("GITLAB_UNAVAILABLE") while a wish holds: nothing is sent."""
        remaining = self.remaining_s()
        if remaining > 0:
            raise RetryableError(
                "GITLAB_UNAVAILABLE",
                say("GitLab has asked to be left alone for another {seconds:.0f} s.", seconds=max(1.0, remaining)),
                retry_after=remaining,
            )

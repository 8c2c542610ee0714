"""The last requests, for tests that must know what a client really sent."""

import threading
from collections import deque
from dataclasses import asdict, dataclass

KEPT = 20_000


@dataclass(frozen=True)
class LoggedRequest:
    """One request; `status` is None when its connection was cut."""

    seq: int
    time: float
    method: str
    path: str
    query: str
    status: int | None
    user: str | None
    duration_ms: float
    request_id: str
    fault: int | None


class RequestLog:
    """A bounded ring."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ring: deque[LoggedRequest] = deque(maxlen=KEPT)
        self._seq = 0

    def add(
        self,
        *,
        started: float,
        method: str,
        path: str,
        query: str,
        status: int | None,
        user: str | None,
        duration_ms: float,
        request_id: str,
        fault: int | None,
    ) -> None:
        """Note a request that was answered, or not."""
        with self._lock:
            self._seq += 1
            self._ring.append(
                LoggedRequest(self._seq, started, method, path, query, status, user, duration_ms, request_id, fault)
            )

    def since(self, seq: int) -> list[dict[str, object]]:
        """What came after a number, oldest first."""
        with self._lock:
            return [asdict(one) for one in self._ring if one.seq > seq]

    def clear(self) -> None:
        """Forget all; numbers go on."""
        with self._lock:
            self._ring.clear()

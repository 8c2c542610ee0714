"""Faults on demand: an answer instead of the work, the work without its answer, a cut connection, a delay."""

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from http import HTTPStatus
from typing import Literal

from starlette.responses import JSONResponse, PlainTextResponse, Response

from gitlab_emulator.errors import with_error
from gitlab_emulator.parameters import Parameters
from gitlab_emulator.present import Json

Drop = Literal["before", "after"]
FORMS = ("throttle", "endpoint", "bare")
_PROXY_ERRORS = (502, 503, 504)
_PERIOD_S = 60
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True)
class Fault:
    """One fault: which requests it meets, and what happens to them."""

    id: int
    method: str | None
    """Regular expression for the whole of it, in either case; None: every one."""
    path: str
    """Regular expression, searched in the raw path with its query."""
    status: int | None
    delay_s: float
    drop: Drop | None
    times: int | None
    """How many more requests it meets; None: all, until it is deleted."""
    retry_after: int | None
    headers: Mapping[str, str]
    form: str
    """Of a 429: `throttle` (plain text with quota headers), `endpoint` (JSON), `bare` (no header at all)."""
    body: str | None
    hits: int = 0

    def meets(self, method: str, target: str) -> bool:
        """Whether a request is one of those meant."""
        if self.times == 0 or (self.method is not None and re.fullmatch(self.method, method, re.IGNORECASE) is None):
            return False
        return re.search(self.path, target) is not None

    def shown(self) -> Json:
        """As `GET /emulator/faults` lists it."""
        return {name: dict(value) if name == "headers" else value for name, value in vars(self).items()}


class FaultTable:
    """The faults in force; the first that meets a request and has times left takes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._next_id = 1

    def add(self, params: Parameters) -> Fault:
        """A fault as `POST /emulator/faults` describes it; raises 400 naming the bad field."""
        with self._lock:
            fault = _parse(self._next_id, params)
            self._next_id += 1
            self._faults.append(fault)
        return fault

    def take(self, method: str, target: str) -> Fault | None:
        """The fault for a request, one time less."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.meets(method, target):
                    left = None if fault.times is None else fault.times - 1
                    self._faults[index] = replace(fault, times=left, hits=fault.hits + 1)
                    return fault
        return None

    def all(self) -> list[Fault]:
        """All of them, used up ones too."""
        with self._lock:
            return list(self._faults)

    def clear(self) -> None:
        """No faults any more."""
        with self._lock:
            self._faults.clear()


def fault_response(fault: Fault) -> Response:
    """The answer a fault gives, in the form in which GitLab or its proxy gives it."""
    status = fault.status or 500
    headers = dict(fault.headers)
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    if fault.body is not None:
        return Response(fault.body, status, headers, "application/json")
    if status == 429:
        return _too_many(fault, headers)
    phrase = _PHRASES.get(status, "Error")
    if status in _PROXY_ERRORS:
        return Response(f"<html><body><h1>{status} {phrase}</h1></body></html>\n", status, headers, "text/html")
    return JSONResponse({"message": f"{status} {phrase}"}, status, headers)


def _too_many(fault: Fault, headers: dict[str, str]) -> Response:
    if fault.form == "endpoint":
        text = "This endpoint has been requested too many times. Try again later."
        return JSONResponse({"message": {"error": text}}, 429, headers)
    if fault.form == "bare":
        return PlainTextResponse("Retry later\n", 429, headers)
    wait = fault.retry_after if fault.retry_after is not None else _PERIOD_S - int(time.time()) % _PERIOD_S
    reset = int(time.time()) + wait
    quota = {
        "RateLimit-Name": "throttle_authenticated_api",
        "RateLimit-Limit": "60",
        "RateLimit-Observed": "61",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": str(reset),
        "RateLimit-ResetTime": formatdate(reset, usegmt=True),
        "Retry-After": str(wait),
    }
    return PlainTextResponse("Retry later\n", 429, quota | headers)


def _parse(fault_id: int, params: Parameters) -> Fault:
    path, method = params.text("path"), params.optional_text("method") or None
    for name, pattern in (("path", path), ("method", method or "")):
        try:
            re.compile(pattern)
        except re.error as failure:
            raise with_error(f"{name} is no regular expression: {failure}") from None
    status, times = params.integer("status"), params.integer("times")
    if status is not None and not 100 <= status <= 599:
        raise with_error("status must be between 100 and 599")
    if times is not None and times < 1:
        raise with_error("times must be at least 1, or null for all")
    drop = params.optional_text("drop")
    if drop not in (None, "before", "after"):
        raise with_error("drop must be before or after")
    if status is None and drop is None and not params.raw("delay_s"):
        raise with_error("one of status, drop, delay_s is required")
    if drop == "before" and status is not None:
        raise with_error("drop before and status exclude each other: a cut connection has no status")
    return Fault(
        id=fault_id,
        method=method,
        path=path,
        status=status,
        delay_s=_seconds(params, "delay_s"),
        drop="before" if drop == "before" else "after" if drop == "after" else None,
        times=times,
        retry_after=params.integer("retry_after"),
        headers={str(name): str(value) for name, value in params.mapping("headers").items()},
        form=params.choice("form", FORMS, "throttle"),
        body=params.optional_text("body"),
    )


def _seconds(params: Parameters, name: str) -> float:
    try:
        seconds = float(params.text(name, "0"))
    except ValueError:
        raise with_error(f"{name} must be a number of seconds") from None
    if not 0 <= seconds <= 3600:
        raise with_error(f"{name} must be between 0 and 3600 seconds")
    return seconds

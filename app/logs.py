"""Structured logs on standard error: lines for people, or one JSON object a line for a collector."""

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, Literal

from sagas import trace

_bound: Final[ContextVar[Mapping[str, object]]] = ContextVar("bound to log lines", default={})  # noqa: B039 - a Mapping

_NOISY = ("httpx", "httpcore", "urllib3", "alembic.runtime.migration", "websockets")
_FRAMES = "uvicorn.error"
"""Of a websocket it writes down every header and frame at DEBUG, tokens included."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message", "taskName"}


def configure_logging(level: str = "INFO", form: Literal["text", "json"] = "text") -> None:
    """Log everything from `level` on; libraries that tell of every request only their warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(_FRAMES).setLevel(max(logging.INFO, logging.getLevelNamesMapping()[level]))


@contextmanager
def bound(**facts: object) -> Iterator[None]:
    """Every line that is logged within, also in threads that the work is handed to, carries these facts."""
    before = _bound.get()
    _bound.set({**before, **facts})
    try:
        yield
    finally:
        _bound.set(before)


class JsonFormatter(logging.Formatter):
    """One object a line: `time`, `level`, `logger`, `message`, `error` where there is one, and whatever else is known.

    That is what `bound` says, the trace's id, and what was given as `extra`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        entry: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        text = json.dumps(entry, ensure_ascii=False, default=str)
        return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


class TextFormatter(logging.Formatter):
    """Time, level, logger, message, then what is bound, the trace's id, and what was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, an error's trace below it."""
        extra = "".join(f" {key}={value}" for key, value in _extra(record).items())
        line = _on_one_line(f"{_time(record)} {record.levelname:<8} {record.name}: {record.getMessage()}{extra}")
        return f"{line}\n{_indented(self.formatException(record.exc_info))}" if record.exc_info else line


def _on_one_line(text: str) -> str:
    """The text with what moves a terminal's cursor or begins a new line written out: what users sent forges no entry."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def _indented(trace: str) -> str:
    """The trace's lines, each told apart from an entry of the log by its indent."""
    return "\n".join(f"  {_on_one_line(line)}" for line in trace.splitlines())


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extra(record: logging.LogRecord) -> dict[str, object]:
    given = {key: value for key, value in record.__dict__.items() if key not in _OWN}
    return {**_bound.get(), **_trace_id(), **given}


def _trace_id() -> dict[str, str]:
    traceparent = trace.current.get()
    return {} if traceparent is None else {"trace_id": traceparent.split("-")[1]}

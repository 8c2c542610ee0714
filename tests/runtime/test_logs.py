"""What users send cannot make the log say what did not happen."""

import logging

import pytest

from app.logs import JsonFormatter, TextFormatter

FORGED = "x\n2026-01-01T00:00:00.000Z INFO     app.auth: root signed in\r\x1b[2J\u2028\x85end"


def record(message: str, *, error: BaseException | None = None) -> logging.LogRecord:
    trace = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("app", logging.WARNING, __file__, 1, "refused: %s", (message,), trace)


def test_a_message_stays_one_line_whatever_is_in_it() -> None:
    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(record(FORGED))
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line
        assert "\\n2026-01-01" in line


def test_a_trace_cannot_pass_for_an_entry() -> None:
    with pytest.raises(ValueError) as caught:
        int(FORGED)
    first, *rest = TextFormatter().format(record("a", error=caught.value)).splitlines()
    assert first.endswith("refused: a")
    assert rest
    assert all(line.startswith("  ") for line in rest)
    assert "root signed in" in rest[-1]

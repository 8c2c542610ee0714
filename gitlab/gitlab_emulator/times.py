"""Times as GitLab writes them."""

from datetime import UTC, datetime


def timestamp(moment: datetime | None = None) -> str:
    """A time (default: now) as `2031-05-04T09:08:07.123Z`: UTC, milliseconds, sortable as text."""
    utc = (moment or datetime.now(UTC)).astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def hook_time(text: str | None) -> str | None:
    """A database time in the form that webhook bodies use: `2031-05-04 09:08:07 UTC`."""
    return f"{text[:10]} {text[11:19]} UTC" if text else None

"""Which trace the work at hand belongs to, as a W3C `traceparent`; None wherever nobody traces.

The engine neither makes nor reads it: commands keep it on the saga's row, and so it outlives the process. Whoever traces
sets it around a request and around a step (`app.telemetry`); a task's message carries on what is set.
"""

from contextvars import ContextVar
from typing import Final

current: Final[ContextVar[str | None]] = ContextVar("traceparent", default=None)

"""What the service knows of tracing: spans, without the library that records them.

The trace that work belongs to travels as one text, the W3C `traceparent`: in a request's header, in
`sagas.trace.current` within a process, in the saga's row between processes, and in a task's message.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Protocol, TypeAlias

from sagas import trace

Attributes: TypeAlias = Mapping[str, str | int | float | bool]
"""Names, numbers and hashes: never an argument, a document, a token, nor an error's text, which may quote one."""


class Kind(StrEnum):
    """On which side of a call a span stands."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"


class Span(Protocol):
    """One piece of work under way."""

    traceparent: str | None
    """What whatever it causes names as its parent."""

    def rename(self, name: str) -> None:
        """Give it the name that is known only now."""

    def note(self, attributes: Attributes) -> None:
        """Add what is known only now."""

    def fail(self, what: str) -> None:
        """Mark it as failed; `what` is a code or the type of an error."""

    def end(self) -> None:
        """The work is done."""


class Tracer(Protocol):
    """Makes spans."""

    def begin(
        self,
        name: str,
        kind: Kind = Kind.INTERNAL,
        *,
        parent: str | None = None,
        linked_to: str | None = None,
        attributes: Attributes | None = None,
    ) -> Span:
        """A span below `parent`, or at the head of a trace of its own, which may link to another trace."""

    def close(self) -> None:
        """Send what is left, and make no more."""


class NoSpan:
    """Nobody traces."""

    traceparent: str | None = None

    def rename(self, name: str) -> None:
        """Nothing."""

    def note(self, attributes: Attributes) -> None:
        """Nothing."""

    def fail(self, what: str) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


class NoTracer:
    """Makes no spans."""

    def begin(
        self,
        name: str,
        kind: Kind = Kind.INTERNAL,
        *,
        parent: str | None = None,
        linked_to: str | None = None,
        attributes: Attributes | None = None,
    ) -> Span:
        """Always the same nothing."""
        del name, kind, parent, linked_to, attributes
        return _NOTHING

    def close(self) -> None:
        """Nothing."""


_NOTHING = NoSpan()
NO_TRACER = NoTracer()


@contextmanager
def within(span: Span) -> Iterator[Span]:
    """Do work as part of the span, which ends with it, failed where the work raised."""
    before = trace.current.get()
    trace.current.set(span.traceparent)
    try:
        yield span
    except BaseException as failure:
        span.fail(type(failure).__name__)
        raise
    finally:
        # Not by token: a subscription may be ended in another context than the one that it began in.
        trace.current.set(before)
        span.end()

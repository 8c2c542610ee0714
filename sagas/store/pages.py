"""Keyset pages: cursors that clients cannot read meaning into, and which way a page is walked. Never OFFSET."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Self, TypeVar
from uuid import UUID

from sagas.errors import RefusalCode, refused
from sagas.texts import say

T = TypeVar("T")
K = TypeVar("K")

_LARGEST_VERSION = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page in the order of its list, each item with its cursor; `has_*` tell of the list beyond both ends."""

    edges: Sequence[tuple[T, str]]
    has_next: bool
    has_previous: bool


@dataclass(frozen=True, slots=True, order=True)
class SagaKey:
    """A saga's place in lists: newest first, its id breaks ties."""

    created_at: datetime
    id: UUID

    def cursor(self) -> str:
        """As clients get it."""
        return _encode(f"saga {self.created_at.isoformat()} {self.id}")

    @classmethod
    def of_cursor(cls, cursor: str, argument: str) -> Self:
        """Read a cursor; raises RefusedError(INVALID_INPUT) that names the argument."""
        try:
            kind, created_at, identity = _decode(cursor).split(" ")
            key = cls(datetime.fromisoformat(created_at), UUID(identity))
        except ValueError:
            raise _malformed(argument) from None
        if kind != "saga" or key.created_at.tzinfo is None:
            raise _malformed(argument)
        return key


@dataclass(frozen=True, slots=True, order=True)
class EventKey:
    """An event's place in its saga's journal."""

    version: int

    def cursor(self) -> str:
        """As clients get it."""
        return _encode(f"event {self.version}")

    @classmethod
    def of_cursor(cls, cursor: str, argument: str) -> Self:
        """Read a cursor; raises RefusedError(INVALID_INPUT) that names the argument."""
        try:
            kind, version = _decode(cursor).split(" ")
            key = cls(int(version))
        except ValueError:
            raise _malformed(argument) from None
        if kind != "event" or not 0 <= key.version <= _LARGEST_VERSION:
            raise _malformed(argument)
        return key


@dataclass(frozen=True, slots=True)
class Window(Generic[K]):
    """Which part of a list is asked for: `size` items from its start, or from its end, between two exclusive bounds."""

    size: int
    from_end: bool
    after: K | None
    before: K | None

    @classmethod
    def of(
        cls,
        read: Callable[[str, str], K],
        *,
        first: int | None,
        after: str | None,
        last: int | None,
        before: str | None,
    ) -> Self:
        """The window of Relay's four arguments, of which exactly one of `first` and `last` is set.

        Raises RefusedError(INVALID_INPUT) that names the argument.
        """
        size = first if first is not None else last
        if size is None or size < 1 or (first is not None and last is not None):
            argument = "last" if last is not None else "first"
            raise refused(RefusalCode.INVALID_INPUT, say("Give either `first` or `last`, 1 or more."), argument)
        return cls(
            size=size,
            from_end=first is None,
            after=None if after is None else read(after, "after"),
            before=None if before is None else read(before, "before"),
        )

    async def page(
        self,
        rows: Sequence[T],
        cursor: Callable[[T], str],
        *,
        reaches: Callable[[bool], Awaitable[bool]],
    ) -> Page[T]:
        """The page of up to `size + 1` rows, read in walking order from the window's end or start.

        `reaches(backwards)` tells whether the list has anything at the bound `before` or beyond it, or, backwards, at
        the bound `after` or ahead of it; it is asked only where there is such a bound.
        """
        more = len(rows) > self.size
        items = list(rows[: self.size])
        if self.from_end:
            items.reverse()
        beyond = more and not self.from_end
        ahead = more and self.from_end
        return Page(
            edges=[(item, cursor(item)) for item in items],
            has_next=beyond or (self.before is not None and await reaches(False)),
            has_previous=ahead or (self.after is not None and await reaches(True)),
        )


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeError) as broken:
        raise ValueError(cursor) from broken


def _malformed(argument: str) -> Exception:
    return refused(
        RefusalCode.INVALID_INPUT,
        say(
            "Argument `{argument}` is not a cursor of this list; take one from an edge or from pageInfo.",
            argument=argument,
        ),
        argument,
    )

"""Relay connections: what their arguments may be, and the types that all of them share."""

from dataclasses import dataclass
from typing import Any, Self

import strawberry

from sagas.store.queries import Page
from sagas.texts import say
from schema.errors import bad_input
from schema.limits import DEFAULT_PAGE, LARGEST_PAGE

FIRST = "How many, counted from the start; 1 to 100, 20 where neither first nor last is given."
AFTER = "Only what follows this cursor."
LAST = "How many, counted from the end; 1 to 100."
BEFORE = "Only what stands before this cursor."


@strawberry.type(description="Where a page stands among its neighbours.")
class PageInfo:
    """As the Relay Cursor Connections specification says."""

    has_next_page: bool = strawberry.field(description="Whether more follow the last edge.")
    has_previous_page: bool = strawberry.field(description="Whether more stand before the first edge.")
    start_cursor: str | None = strawberry.field(description="The first edge's cursor; null for an empty page.")
    end_cursor: str | None = strawberry.field(description="The last edge's cursor; null for an empty page.")

    @classmethod
    def of(cls, page: Page[Any]) -> Self:
        """From a page of the read side."""
        return cls(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=page.edges[0][1] if page.edges else None,
            end_cursor=page.edges[-1][1] if page.edges else None,
        )


@dataclass(frozen=True, slots=True)
class PageArguments:
    """Which page is asked for; exactly one of `first` and `last` is set."""

    first: int | None
    after: str | None
    last: int | None
    before: str | None


def page_arguments(
    first: int | None = None, after: str | None = None, last: int | None = None, before: str | None = None
) -> PageArguments:
    """The arguments of a connection, checked.

    Raises the BAD_USER_INPUT error that names the argument, its limits and the value given.
    """
    if first is not None and last is not None:
        raise bad_input("last", say("Give `first` or `last`, not both."))
    for name, size in (("first", first), ("last", last)):
        if size is not None and not 1 <= size <= LARGEST_PAGE:
            raise bad_input(
                name,
                say(
                    "Argument `{name}` must be from 1 to {largest}, not {size}.",
                    name=name,
                    largest=LARGEST_PAGE,
                    size=size,
                ),
            )
    if first is None and last is None:
        first = DEFAULT_PAGE
    return PageArguments(first, after, last, before)

"""Strawberry's decorators for methods, with types: its own return Any, and every method under them would lose its own."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

F = TypeVar("F", bound=Callable[..., Any])


def resolver(*, description: str) -> Callable[[F], F]:
    """A field that the method answers."""
    return cast("Callable[[F], F]", strawberry.field(description=description))


def mutation(*, description: str) -> Callable[[F], F]:
    """A mutation that the method carries out."""
    return cast("Callable[[F], F]", strawberry.mutation(description=description))


def subscription(*, description: str) -> Callable[[F], F]:
    """A subscription whose stream the method opens."""
    return cast("Callable[[F], F]", strawberry.subscription(description=description))

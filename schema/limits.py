"""What an operation, a connection and a user may take."""

from dataclasses import dataclass
from datetime import timedelta

DEFAULT_PAGE = 20
LARGEST_PAGE = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings `ORCHESTRATOR_LIMIT_…`, whose descriptions say what each is for."""

    tokens: int = 5_000
    operations: int = 20
    fragments: int = 200
    directives: int = 100
    depth: int = 20
    aliases: int = 100
    fields: int = 5_000
    overlaps: int = 10_000
    cost: int = 200_000
    body: int = 2_000_000
    deadline: timedelta = timedelta(seconds=30)
    rate: int = 20_000
    subscriptions_per_connection: int = 100
    subscriptions_per_user: int = 500
    connections: int = 10_000
    introspection: bool = True
    suggestions: bool = True


SHIPPED = Limits()
"""The limits of an installation that sets none."""

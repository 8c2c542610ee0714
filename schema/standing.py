"""How much a subscription may have its server keep: what it sent stays as long as it does, and each user may have hundreds."""

from collections.abc import Mapping
from typing import Any

from schema.exceeded import limit_exceeded

LONGEST = 65_536


def require_lean(query: str, variables: Mapping[str, Any]) -> None:
    """Raise LIMIT_EXCEEDED for a subscription whose document and variables have too many characters and values."""
    size = len(query)
    pending: list[object] = [variables]
    while pending and size <= LONGEST:
        value = pending.pop()
        size += 1
        if isinstance(value, str):
            size += len(value)
        elif isinstance(value, Mapping):
            size += sum(len(name) for name in value)
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value[:LONGEST])
    if size > LONGEST:
        raise limit_exceeded("subscription", allowed=LONGEST, value=size)

"""What a handler answers, before it becomes a response."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reply:
    """Status, body and headers."""

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(
    value: Mapping[str, object] | Sequence[object], status: int = 200, headers: Mapping[str, str] | None = None
) -> Reply:
    """A JSON answer, as compact as GitLab's; bytes of a path that are no UTF-8 become question marks."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Reply(status, text.encode("utf-8", "replace"), headers=headers or {})


def created(value: Mapping[str, object]) -> Reply:
    """201 with the new object."""
    return json_reply(value, 201)


def no_content() -> Reply:
    """204 without a body."""
    return Reply(204)

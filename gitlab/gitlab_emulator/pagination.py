"""Pages of lists and the headers that announce them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode

from gitlab_emulator.call import Call
from gitlab_emulator.errors import plain, with_error
from gitlab_emulator.replies import Reply, json_reply

DEFAULT_SIZE = 20
MAX_SIZE = 100
MAX_COUNTED = 10_000

Item = TypeVar("Item")


@dataclass(frozen=True)
class Page:
    """A page by number, from 1."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        """How many items stand before it."""
        return (self.number - 1) * self.size


def requested_page(call: Call) -> Page:
    """The page a call asks for; more than 100 items a page are not given."""
    number = call.params.integer("page")
    return Page(max(number, 1) if number is not None else 1, page_size(call))


def page_size(call: Call) -> int:
    """`per_page`: 20 unless asked otherwise, at most 100."""
    size = call.params.integer("per_page")
    if size is None:
        return DEFAULT_SIZE
    if size < 1:
        raise with_error("per_page does not have a valid value")
    return min(size, MAX_SIZE)


def wants_keyset(call: Call) -> bool:
    """Whether the call asks for keyset pagination."""
    return call.params.optional_text("pagination") == "keyset"


def refuse_keyset(call: Call) -> None:
    """405 on lists that have no keyset pagination."""
    if wants_keyset(call):
        raise with_error("Keyset pagination is not yet available for this type of request", 405)


def page_of(call: Call, items: Sequence[Item]) -> tuple[Sequence[Item], Mapping[str, str]]:
    """A page of a list that is wholly known, with its headers."""
    page = requested_page(call)
    return items[page.offset : page.offset + page.size], counted_headers(call, page, len(items))


def counted_headers(call: Call, page: Page, total: int) -> dict[str, str]:
    """Headers where the number of items is known; above 10 000 GitLab does not tell it."""
    pages = max(1, -(-total // page.size))
    following = page.number + 1 if page.number < pages else None
    if total > MAX_COUNTED:
        return _headers(call, page, following)
    headers = _headers(call, page, following, last=pages)
    return headers | {"X-Total": str(total), "X-Total-Pages": str(pages)}


def uncounted_headers(call: Call, page: Page, *, more: bool) -> dict[str, str]:
    """Headers of lists that GitLab does not count, such as commits."""
    return _headers(call, page, page.number + 1 if more else None)


def keyset_headers(call: Call, **following: str) -> dict[str, str]:
    """The `next` link of a keyset page; without arguments the end, which has no header at all."""
    return {"Link": f'<{_link(call, **following)}>; rel="next"'} if following else {}


def list_reply(items: Sequence[object], headers: Mapping[str, str]) -> Reply:
    """A list with its page's headers."""
    return json_reply(items, headers=headers)


def refuse_far_offset(page: Page) -> None:
    """405 beyond 50 000 on lists that offer keyset pagination."""
    if page.offset > 50_000:
        raise plain(405)


def _headers(call: Call, page: Page, following: int | None, *, last: int | None = None) -> dict[str, str]:
    before = page.number - 1 if page.number > 1 else None
    links = {"prev": before, "next": following, "first": 1, "last": last}
    return {
        "X-Page": str(page.number),
        "X-Per-Page": str(page.size),
        "X-Prev-Page": str(before or ""),
        "X-Next-Page": str(following or ""),
        "Link": ", ".join(
            f'<{_link(call, page=str(number), per_page=str(page.size))}>; rel="{name}"'
            for name, number in links.items()
            if number is not None
        ),
    }


def _link(call: Call, **changes: str) -> str:
    kept = [(name, value) for name, value in parse_qsl(call.query, keep_blank_values=True) if name not in changes]
    kept = [(name, value) for name, value in kept if name not in ("private_token", "access_token")]
    return f"{call.base_url}{call.raw_path}?{urlencode([*kept, *changes.items()])}"

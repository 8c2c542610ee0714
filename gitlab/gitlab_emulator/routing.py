"""Routes of the REST API, matched segment by segment on the raw path.

A segment is decoded once, after the path was split: `a%2Fb` is one segment, `a/b` are two. A framework's router sees
the decoded path and cannot tell the two apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote

Handler = TypeVar("Handler", bound=Callable[..., object])


@dataclass(frozen=True)
class Route(Generic[Handler]):
    """One method on one pattern such as `/projects/:id/issues/:iid`."""

    method: str
    pattern: tuple[str, ...]
    handler: Handler
    scopes: frozenset[str]
    """Token scopes that open this route beside `api` (and `read_api` for reads)."""


@dataclass(frozen=True)
class Match(Generic[Handler]):
    """The route of a call, with the values of its `:names`."""

    route: Route[Handler]
    values: Mapping[str, str]


@dataclass
class Router(Generic[Handler]):
    """A table of routes; fixed segments win over `:names`, earlier registrations over later ones."""

    _by_shape: dict[tuple[str, int], list[Route[Handler]]] = field(default_factory=dict)

    def add(self, method: str, pattern: str, *, scopes: frozenset[str] = frozenset()) -> Callable[[Handler], Handler]:
        """Decorator that registers a handler."""

        def register(handler: Handler) -> Handler:
            segments = tuple(pattern.strip("/").split("/"))
            routes = self._by_shape.setdefault((method, len(segments)), [])
            routes.append(Route(method, segments, handler, scopes))
            routes.sort(key=lambda route: sum(segment.startswith(":") for segment in route.pattern))
            return handler

        return register

    def get(self, pattern: str, *, scopes: frozenset[str] = frozenset()) -> Callable[[Handler], Handler]:
        """`add` for GET; HEAD is answered by the same handler."""
        return self.add("GET", pattern, scopes=scopes)

    def post(self, pattern: str) -> Callable[[Handler], Handler]:
        """`add` for POST."""
        return self.add("POST", pattern)

    def put(self, pattern: str) -> Callable[[Handler], Handler]:
        """`add` for PUT."""
        return self.add("PUT", pattern)

    def delete(self, pattern: str, *, scopes: frozenset[str] = frozenset()) -> Callable[[Handler], Handler]:
        """`add` for DELETE."""
        return self.add("DELETE", pattern, scopes=scopes)

    def routes(self) -> list[Route[Handler]]:
        """All routes."""
        return [route for routes in self._by_shape.values() for route in routes]

    def include(self, other: "Router[Handler]") -> None:
        """Take over the routes of a part of the API."""
        for route in other.routes():
            self.add(route.method, "/".join(route.pattern), scopes=route.scopes)(route.handler)

    def find(self, method: str, segments: tuple[str, ...]) -> Match[Handler] | None:
        """The route of these decoded segments."""
        for route in self._by_shape.get((method, len(segments)), ()):
            values = _match(route.pattern, segments)
            if values is not None:
                return Match(route, values)
        return None

    def methods(self, segments: tuple[str, ...]) -> frozenset[str]:
        """Methods that some route offers on this path: 405 instead of 404 when not empty."""
        return frozenset(
            method
            for (method, length), routes in self._by_shape.items()
            if length == len(segments) and any(_match(route.pattern, segments) is not None for route in routes)
        )


def split_raw_path(raw_path: bytes) -> tuple[str, ...]:
    """The decoded segments of a raw path; an empty one (`//`, a trailing slash) stays an empty string."""
    return tuple(unquote(segment, errors="replace") for segment in raw_path.decode("latin-1").lstrip("/").split("/"))


def _match(pattern: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for expected, segment in zip(pattern, segments, strict=True):
        if expected.startswith(":"):
            if not segment:
                return None
            values[expected[1:]] = segment
        elif expected != segment:
            return None
    return values

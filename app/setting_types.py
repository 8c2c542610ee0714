"""The kinds of values that settings have, beyond those of the language."""

import re
import socket
from datetime import timedelta
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import BeforeValidator

_POSTGRES_URL = re.compile(r"postgres(?:ql)?(?:\+\w+)?://")


def _postgres_url(value: object) -> object:
    if not isinstance(value, str) or not _POSTGRES_URL.match(value):
        raise ValueError("must be a PostgreSQL address, such as postgresql://user:password@host:5432/orchestrator")
    return _POSTGRES_URL.sub("postgresql://", value, count=1)


def _seconds(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value.strip()):
        return float(value)
    return value


def _plain_url(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an address that begins with http:// or https://")
    if parts.username or parts.password:
        raise ValueError("must not carry a user name or password; a token has a variable of its own")
    return value.rstrip("/")


def origins_of(value: object) -> object:
    """Origins from a text that separates them by commas; raises ValueError for what is none."""
    if not isinstance(value, str):
        return value
    origins = tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or origin != f"{parts.scheme}://{parts.netloc}" or "*" in origin:
            raise ValueError(
                f"must be origins such as https://ide.example.com, separated by commas, each named in full; {origin!r} is none"
            )
    return origins


PostgresUrl = Annotated[str, BeforeValidator(_postgres_url)]
"""Always with the plain scheme `postgresql://`; whoever needs a driver's own adds it."""
HttpUrl = Annotated[str, BeforeValidator(_plain_url)]
"""Without a slash at its end."""
Duration = Annotated[timedelta, BeforeValidator(_seconds)]
"""From seconds (`6`, `0.5`) or an ISO 8601 duration (`PT1M`)."""


class Address(NamedTuple):
    """Where something listens."""

    host: str
    port: int

    @property
    def family(self) -> socket.AddressFamily:
        """Of its socket."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET


def address_of(value: object) -> object:
    """An address from `host:port`; raises ValueError for what is none."""
    if not isinstance(value, str):
        return value
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise ValueError("must be an address and a port, such as 127.0.0.1:9464 (0: a free port)")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))

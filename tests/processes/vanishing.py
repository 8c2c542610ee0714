"""Clients that go away in mid-request: as by a reset, at every stage of a request, a handshake and a subscription."""

import base64
import json
import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

AT_ONCE = 8
_PATIENCE_S = 90.0
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset, whatever was still to be sent or read."""

Manner = Callable[[int], None]
"""How one client comes to the port and goes."""


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """A connection that ends in a reset."""
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        yield client


def post(document: str, variables: Mapping[str, object]) -> bytes:
    """A GraphQL request as it goes over the wire."""
    body = json.dumps({"query": document, "variables": variables}).encode()
    head = f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def cut(request: bytes, part: float) -> Manner:
    """Sends this part of the request and vanishes."""

    def go(port: int) -> None:
        with connected(port) as client:
            client.sendall(request[: int(len(request) * part)])

    return go


def in_the_handshake(port: int) -> None:
    """Asks for a websocket and vanishes when it is granted."""
    with connected(port) as client:
        _upgrade(client)


def while_subscribed(subscription: str, variables: Mapping[str, object], *, listens: bool = True) -> Manner:
    """Subscribes and vanishes: when the first event has come, or at once."""

    def go(port: int) -> None:
        with connected(port) as client:
            subscribe(client, subscription, variables)
            if listens:
                _until(client, b'"type":"next"')

    return go


def subscribe(client: socket.socket, subscription: str, variables: Mapping[str, object]) -> None:
    """Open a websocket, shake hands and send the subscription."""
    _upgrade(client)
    client.sendall(_frame({"type": "connection_init"}))
    _until(client, b"connection_ack")
    payload = {"query": subscription, "variables": variables}
    client.sendall(_frame({"type": "subscribe", "id": "1", "payload": payload}))


def come_and_go(port: int, manners: list[Manner]) -> None:
    """All of them, several at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(lambda manner: manner(port), manners):
            pass


def _upgrade(client: socket.socket) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    client.sendall(
        "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
    )
    _until(client, b"101 Switching Protocols")


def _until(client: socket.socket, expected: bytes) -> None:
    seen = b""
    while expected not in seen.replace(b": ", b":") and expected not in seen:
        received = client.recv(65536)
        if not received:
            raise AssertionError(f"closed without {expected!r}: {seen!r}")
        seen += received


def _frame(message: Mapping[str, object]) -> bytes:
    """A masked text frame, as clients must send it; the mask of zeros changes nothing."""
    text = json.dumps(message).encode()
    length = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + struct.pack(">H", len(text))
    return b"\x81" + length + b"\0\0\0\0" + text

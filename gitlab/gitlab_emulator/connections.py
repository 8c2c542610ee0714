"""Open connections by the client's address, so that a fault can cut one in the middle of a request."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Address = tuple[str, int]


class Connections:
    """The transports of all clients that are connected now."""

    def __init__(self) -> None:
        self._transports: dict[Address, asyncio.Transport] = {}

    def opened(self, address: Address, transport: asyncio.Transport) -> None:
        """A client connected."""
        self._transports[address] = transport

    def closed(self, address: Address) -> None:
        """A client went."""
        self._transports.pop(address, None)

    def cut(self, address: Address | None) -> bool:
        """Drop a client's connection without another byte; False when this server does not know it."""
        transport = self._transports.get(address) if address else None
        if transport is None:
            return False
        transport.abort()
        return True


def cuttable_protocol(connections: Connections) -> type[asyncio.Protocol]:
    """The HTTP protocol of uvicorn that registers its transports."""

    class CuttableProtocol(HttpToolsProtocol):
        _address: Address | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn narrows it
            super().connection_made(transport)
            peer = transport.get_extra_info("peername")
            if isinstance(peer, tuple) and len(peer) >= 2:
                self._address = (str(peer[0]), int(peer[1]))
                connections.opened(self._address, transport)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._address is not None:
                connections.closed(self._address)
            super().connection_lost(exc)

    return CuttableProtocol

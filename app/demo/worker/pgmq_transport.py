"""kombu's pgmq transport, whose consumer goes on when PostgreSQL was away at the moment of an acknowledgement.

kombu 5.7 logs such a failure and leaves the message counted against the prefetch: with prefetch 1 the worker would never
take another one. Here a failed acknowledgement is tried again on a fresh connection, and given up in a way that frees
the place; the message is then visible again after its time-out and delivered a second time, which tasks must stand
anyway.
"""

from collections.abc import Callable
from functools import partial

from kombu.transport import pgmq

from app.adapters.pgmq_transport import Transport as WholeAddressTransport

ACK_TRIES = 3


class Channel(pgmq.Channel):
    """A channel that never loses a place of its prefetch to an outage."""

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Delete the message from its queue; raises the database's error after the last try."""
        acknowledge: Callable[..., None] = super().basic_ack
        self._settle(delivery_tag, partial(acknowledge, delivery_tag, multiple))

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Delete the message, or make it visible at once; raises the database's error after the last try."""
        reject: Callable[..., None] = super().basic_reject
        self._settle(delivery_tag, partial(reject, delivery_tag, requeue))

    def _settle(self, delivery_tag: str, settle: Callable[[], None]) -> None:
        for last in (*[False] * (ACK_TRIES - 1), True):
            try:
                return settle()
            except Transport.connection_errors:
                if last:
                    self.qos.ack(delivery_tag)
                    raise
        return None


class Transport(WholeAddressTransport):
    """The service's transport with that channel."""

    Channel = Channel

"""kombu's pgmq transport, whose connections are opened by the whole address.

The client that kombu makes takes host, port, database, user and password out of it and forgets the rest: neither the
address's TLS nor the time-outs of its sessions would come to PostgreSQL. A process that was stopped while it declared a
queue kept all others waiting at that queue's lock for as long as it slept.
"""

from typing import Any, cast

from kombu.transport import pgmq
from pgmq import PGMQueue
from psycopg_pool import ConnectionPool


class WholeAddressQueue(PGMQueue):  # type: ignore[no-untyped-call]  # its metaclass is untyped
    """pgmq's client over a pool that is opened by its connection string as it stands."""

    def _init_pool(self) -> None:
        # In the place of the client's own, so that closing the client closes it.
        self._own_pool = True
        self.pool = ConnectionPool(self.config.conn_string or "", min_size=1, max_size=self.config.pool_size, open=True)


class Transport(pgmq.Transport):
    """The transport with that client, by the options that `celery_config` gives."""

    def _create_pgmq_client(self) -> PGMQueue:
        options: dict[str, Any] = cast("Any", self.client).transport_options
        client = WholeAddressQueue(
            conn_string=options["conn_string"],
            vt=options["visibility_timeout"],
            init_extension=False,
            pool_size=options["pool_size"],
        )
        self._apply_pool_timeout(client, options)
        return client

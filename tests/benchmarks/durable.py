"""The database that is measured against; apart from the workload, whose process loads no more than the service does."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from app.adapters.embedded import PostgresServer
from app.migrate import migrate
from tests.support_postgres import data_directory


@contextmanager
def durable_server() -> Iterator[str]:
    """The URL of a migrated database on a server of our own, with PostgreSQL's own durability: fsync is on."""
    with data_directory() as directory:
        server = PostgresServer(directory)
        url = server.start()
        try:
            asyncio.run(migrate(url))
            yield url
        finally:
            server.stop()

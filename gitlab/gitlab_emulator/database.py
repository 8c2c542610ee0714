"""The metadata store: one SQLite file beside the repositories.

WAL with `synchronous=NORMAL`: what a request acknowledged survives `kill -9` of this process at any instant; only a
power cut may lose the last moments, never the file's consistency.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gitlab_emulator.store.schema import SCHEMA


class Database:
    """One connection per thread; writers take turns, readers never wait for them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._writing = threading.RLock()
        with self.writing() as connection:
            for statement in SCHEMA:
                connection.execute(statement)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for statements that change nothing."""
        yield self._connection()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed at the block's end, rolled back when the block raises."""
        connection = self._connection()
        with self._writing:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def writing_if_free(self) -> Iterator[sqlite3.Connection | None]:
        """`writing` for what may as well be left out: None, at once, while somebody else writes."""
        if not self._writing.acquire(blocking=False):
            yield None
            return
        try:
            with self.writing() as connection:
                yield connection
        finally:
            self._writing.release()

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._writing:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            self._local = threading.local()

    def _connection(self) -> sqlite3.Connection:
        known: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if known is None:
            known = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
            known.row_factory = sqlite3.Row
            known.execute("PRAGMA journal_mode = WAL")
            known.execute("PRAGMA synchronous = NORMAL")
            known.execute("PRAGMA foreign_keys = ON")
            self._local.connection = known
            self._connections.append(known)
        return known

"""PostgreSQL for tests: a server per test process, a migrated template, and a clone of it for each test.

`ORCHESTRATOR_TEST_DATABASE_URL` names another server, whose user may create databases; the embedded one is used
otherwise. Debian's server stands beside it for tests that must hold on an older version too.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from sqlalchemy import make_url

from app.adapters.embedded import PostgresServer
from app.adapters.postgres_programs import wheel_programs
from app.migrate import migrate

TEST_DATABASE_URL = "ORCHESTRATOR_TEST_DATABASE_URL"


@dataclass(frozen=True)
class TestServer:
    """A server to make databases on; `url` names one that is only connected to for that."""

    __test__ = False
    url: str
    template: str

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[str]:
        """The URL of a database of one's own; dropped afterwards, whoever is still connected."""
        name = f"test_{uuid4().hex[:12]}"
        self._create(name, self.template if migrated else "template1")
        try:
            yield self._url_of(name)
        finally:
            self._drop(name)

    def dump(self, url: str, into: Path) -> None:
        """`pg_dump` of a database of ours, as it is at one moment; its processes need not notice."""
        self._program("pg_dump", "--format=custom", f"--file={into}", url)

    def restore(self, url: str, dump: Path) -> None:
        """Set a database of ours back to a dump; whoever is connected is cut off."""
        name = str(make_url(url).database)
        self._drop(name)
        self._create(name, "template0")
        self._program("pg_restore", "--exit-on-error", f"--dbname={url}", str(dump))

    @staticmethod
    def _program(name: str, *arguments: str) -> None:
        subprocess.run([str(wheel_programs() / name), *arguments], check=True)

    def make_template(self) -> None:
        self._create(self.template, "template1")
        asyncio.run(migrate(self._url_of(self.template)))

    def drop_template(self) -> None:
        self._drop(self.template)

    def _create(self, name: str, template: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))

    def _drop(self, name: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))

    def _url_of(self, name: str) -> str:
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)


@contextmanager
def embedded_server(*, programs: Path | None = None) -> Iterator[TestServer]:
    """A server from the wheel, or from other programs, in a directory of its own; fast, not durable."""
    with data_directory() as directory:
        server = PostgresServer(directory, durable=False)
        if programs is not None:
            server.programs = programs
        url = server.start()
        try:
            yield from _with_template(url)
        finally:
            server.stop()


@contextmanager
def named_server(url: str) -> Iterator[TestServer]:
    """The server that the environment names; only databases of our own are touched on it."""
    yield from _with_template(url)


def _with_template(url: str) -> Iterator[TestServer]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    server = TestServer(plain, f"test_template_{uuid4().hex[:12]}")
    try:
        server.make_template()
        yield server
    finally:
        server.drop_template()


@contextmanager
def data_directory() -> Iterator[Path]:
    """A short-lived directory that the user who runs PostgreSQL can reach, unlike pytest's own below a closed one."""
    directory = Path(tempfile.mkdtemp(prefix="orchestrator-pg-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def debian_programs() -> Path:
    """Debian's PostgreSQL programs; without them the test is skipped on a laptop and fails in CI."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        missing("Debian's PostgreSQL server is not installed (package postgresql); tests/install-services installs it.")
    return found[0].parent


def missing(what: str) -> NoReturn:
    """Skip loudly where a person may lack a service; fail where CI must have it."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)

"""The embedded PostgreSQL: quick, durable, and back after every kind of sudden end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from app.adapters.embedded import EmbeddedPostgresError, PostgresServer
from tests.support import eventually_sync
from tests.support_postgres import data_directory

HOLD = """
import signal, sys
from pathlib import Path
from app.adapters.embedded import PostgresServer
server = PostgresServer(Path(sys.argv[1]), durable=False)
print(server.start(), server.pid, flush=True)
signal.pause()
"""
FOREGROUND = """
import sys
from pathlib import Path
from app.adapters.embedded import PostgresServer
sys.exit(PostgresServer(Path(sys.argv[1]), durable=False).run(lambda url: print(url, flush=True)))
"""


def quick(directory: Path) -> PostgresServer:
    """Without waiting for the disk: what a killed process wrote, the system keeps."""
    return PostgresServer(directory, durable=False)


@pytest.fixture
def directory() -> Iterator[Path]:
    with data_directory() as path:
        yield path


@pytest.fixture
def server(directory: Path) -> Iterator[PostgresServer]:
    server = quick(directory / "data")
    yield server
    server.stop()


def start_child(script: str, directory: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", script, str(directory)], stdout=subprocess.PIPE, text=True)


def said(child: "subprocess.Popen[str]") -> list[str]:
    assert child.stdout is not None
    return child.stdout.readline().split()


def kill_child(child: "subprocess.Popen[str]") -> None:
    child.kill()
    child.wait()
    assert child.stdout is not None
    child.stdout.close()


def write(url: str, value: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
        connection.execute("INSERT INTO kept VALUES (%s)", [value])


def kept(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [value for (value,) in connection.execute("SELECT value FROM kept ORDER BY value")]


def test_starts_in_seconds_never_as_root_and_answers_with_its_password_only(server: PostgresServer) -> None:
    began = time.monotonic()
    url = server.start()
    assert time.monotonic() - began < 15
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT lower('ЖЁ')").fetchone() == ("жё",)
    assert server.pid is not None
    assert psutil.Process(server.pid).uids().effective != 0
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://orchestrator:guess@127.0.0.1:{server.port}/orchestrator")


def test_is_durable_unless_told_otherwise(directory: Path) -> None:
    server = PostgresServer(directory)
    try:
        with psycopg.connect(server.start()) as connection:
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)
    finally:
        server.stop()


def test_listens_on_loopback_alone(server: PostgresServer) -> None:
    server.start()
    listening = [c.laddr.ip for c in psutil.Process(server.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]


def test_keeps_data_password_and_port_over_a_restart(directory: Path) -> None:
    first = quick(directory)
    url = first.start()
    write(url, 1)
    first.stop()
    assert first.pid is None
    second = quick(directory)
    try:
        assert second.start() == url
        assert kept(url) == [1]
    finally:
        second.stop()


def test_takes_another_port_when_its_own_was_taken_meanwhile(directory: Path) -> None:
    server = quick(directory)
    server.start()
    server.stop()
    with socket.socket() as squatter:
        # The server's own connections may linger in TIME_WAIT; a squatter does not mind.
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", server.port))
        squatter.listen()
        other = quick(directory)
        try:
            write(other.start(), 1)
            assert other.port != server.port
        finally:
            other.stop()


def test_says_so_when_the_port_it_was_told_to_use_is_taken(directory: Path) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        with pytest.raises(EmbeddedPostgresError, match="Address already in use"):
            PostgresServer(directory, port=squatter.getsockname()[1]).start()


def test_comes_back_with_its_data_after_kill_9_while_a_back_end_is_busy(server: PostgresServer) -> None:
    url = server.start()
    write(url, 7)
    busy = psycopg.connect(url)
    # It calculates, so it does not see that its server is gone for about a second.
    busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 8000000) AS g")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    eventually_sync(lambda: server.pid is None)
    assert server.start() == url
    busy.close()
    assert kept(url) == [7]


def test_ends_with_a_killed_parent_and_the_next_one_goes_on(directory: Path) -> None:
    parent = start_child(HOLD, directory)
    url, pid = said(parent)
    write(url, 3)
    kill_child(parent)
    server = quick(directory)
    try:
        assert server.start() == url
        assert server.pid != int(pid)
        assert kept(url) == [3]
    finally:
        server.stop()


def test_starts_after_parent_and_server_were_killed_together(directory: Path) -> None:
    parent = start_child(HOLD, directory)
    url, pid = said(parent)
    write(url, 4)
    os.kill(int(pid), signal.SIGKILL)
    kill_child(parent)
    server = quick(directory)
    try:
        assert server.start() == url
        assert kept(url) == [4]
    finally:
        server.stop()


def test_a_pid_file_whose_number_belongs_to_another_process_now_does_no_harm(directory: Path) -> None:
    server = quick(directory)
    url = server.start()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    eventually_sync(lambda: server.pid is None)
    pid_file = directory / "cluster" / "postmaster.pid"
    _, rest = pid_file.read_text().split("\n", 1)
    pid_file.write_text(f"{os.getpid()}\n{rest}")
    try:
        assert server.start() == url
    finally:
        server.stop()


def test_refuses_a_directory_that_another_process_runs(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.start()
    monkeypatch.setattr("app.adapters.embedded._LOCK_TIMEOUT", 0.2)
    with pytest.raises(EmbeddedPostgresError, match="Another process already runs"):
        PostgresServer(server.data_dir).start()
    write(url, 1)
    assert kept(url) == [1]


def test_an_interrupted_first_start_leaves_nothing_in_the_way(directory: Path) -> None:
    (directory / "cluster.new" / "base").mkdir(parents=True)
    (directory / "cluster.new" / "PG_VERSION").write_text("18\n")
    server = quick(directory)
    try:
        write(server.start(), 1)
    finally:
        server.stop()


def test_refuses_the_data_of_another_major_version(directory: Path) -> None:
    (directory / "cluster").mkdir()
    (directory / "cluster" / "PG_VERSION").write_text("13\n")
    with pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 13"):
        PostgresServer(directory).start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_it_ends_in_order_on_a_signal(directory: Path, number: signal.Signals) -> None:
    child = start_child(FOREGROUND, directory)
    try:
        (url,) = said(child)
        write(url, 1)
        child.send_signal(number)
        assert child.wait(20) == 0
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=2)
        assert not (directory / "cluster" / "postmaster.pid").exists()
    finally:
        kill_child(child)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root meets directories that are closed to PostgreSQL's user")
def test_root_may_keep_the_data_below_a_directory_that_is_closed_to_others(directory: Path) -> None:
    directory.chmod(0o700)
    server = quick(directory / "data")
    try:
        write(server.start(), 1)
    finally:
        server.stop()
    assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root meets directories that are closed to PostgreSQL's user")
def test_without_that_capability_it_says_which_directory_is_closed(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.chmod(0o700)
    monkeypatch.setattr("app.adapters.postgres_programs._may_look_everywhere", lambda: False)
    with pytest.raises(EmbeddedPostgresError, match=f"may not enter {directory}"):
        PostgresServer(directory / "data").start()
    assert not (directory / "data" / "cluster").exists()

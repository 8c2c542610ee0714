"""A PostgreSQL of our own: the programs of a wheel, run on a loopback port over one data directory.

The data directory holds `cluster/` (PostgreSQL's own), `password` and `port` (both kept across restarts), `log`, and
`lock`, which is held while a `PostgresServer` runs the cluster. Clients log in with the generated password (SCRAM).
"""

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

import psutil
import psycopg

from app.adapters.postgres_programs import Account, EmbeddedPostgresError, account_for, wheel_programs

__all__ = ["EmbeddedPostgresError", "PostgresServer"]

ROLE = "orchestrator"
DATABASE = "orchestrator"
_HOST = "127.0.0.1"
_LOG_LIMIT = 10 * 1024 * 1024
_START_TIMEOUT = 60.0
_LOCK_TIMEOUT = 15.0
_FAST, _IMMEDIATE = signal.SIGINT, signal.SIGQUIT

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": _HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "jit": "off",  # compiling costs more than any of our statements
    "timezone": "UTC",
}
_NOT_DURABLE: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}


@dataclass(slots=True)
class PostgresServer:
    """One PostgreSQL server, a child of this process.

    On Linux it ends with the thread that called `start`, so call it from one that lives as long as the server should.
    """

    data_dir: Path
    port: int = 0
    """0: the port of the last run, or a free one."""
    programs: Path = field(default_factory=wheel_programs)
    durable: bool = True
    """False gives up safety against power cuts for speed, for tests; killed processes still lose nothing."""
    _process: "subprocess.Popen[bytes] | None" = None
    _lock: IO[str] | None = None

    def start(self) -> str:
        """Start the server, making its cluster where there is none, and wait until it answers; returns its URL.

        A server that a killed process left behind on this directory is waited for, then ended. May be called again
        after the server died.

        Raises EmbeddedPostgresError with what PostgreSQL said where it does not come up.
        """
        if self.pid is not None:
            return self.url
        self.data_dir = self.data_dir.resolve()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            self._end_orphan()
            account = account_for(self._cluster, self.programs)
            self._make_cluster(account)
            self._run(account)
            self._make_database()
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Shut down, aborting open transactions; afterwards another process may start the server."""
        if self._process is not None:
            _end(self._process.pid, self._process.poll)
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def run(self, ready: Callable[[str], None]) -> int:
        """Start, call `ready` with the URL, then wait in the foreground until SIGINT or SIGTERM; the exit status."""
        asked_to_end = False

        def end(_signal: int, _frame: FrameType | None) -> None:
            nonlocal asked_to_end
            asked_to_end = True
            if self._process is not None:
                self._process.send_signal(_FAST)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        ready(self.start())
        if self._process is None or asked_to_end:
            self.stop()
            return 0
        status = self._process.wait()
        self.stop()
        return 0 if asked_to_end else status

    @property
    def url(self) -> str:
        """The address of the server's database `orchestrator`, password included."""
        return f"postgresql://{ROLE}:{self._password()}@{_HOST}:{self.port}/{DATABASE}"

    @property
    def pid(self) -> int | None:
        """The process id of the running postmaster; None where it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def _cluster(self) -> Path:
        return self.data_dir / "cluster"

    @property
    def _pid_file(self) -> Path:
        return self._cluster / "postmaster.pid"

    @property
    def _log(self) -> Path:
        return self.data_dir / "log"

    # -- one owner at a time

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        lock = (self.data_dir / "lock").open("a+", encoding="ascii")
        deadline = time.monotonic() + _LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    lock.close()
                    raise EmbeddedPostgresError(
                        f"Another process already runs the PostgreSQL in {self.data_dir}; stop it or name another directory."
                    ) from None
            time.sleep(0.05)
        self._lock = lock

    def _end_orphan(self) -> None:
        """Nobody holds the lock but us: a server that still runs here lost its parent, and is most likely ending."""
        orphan = self._postmaster()
        if orphan is not None:
            with suppress(psutil.TimeoutExpired):
                orphan.wait(3)
            _end(orphan.pid, lambda: None if self._postmaster() == orphan else 0)
        self._disown_pid_file()

    def _postmaster(self) -> psutil.Process | None:
        with suppress(FileNotFoundError, ValueError, IndexError, psutil.Error):
            process = psutil.Process(int(self._pid_file.read_text(encoding="utf-8").splitlines()[0]))
            # The pid may be somebody else's by now, or a zombie's; a server works in its cluster.
            if Path(process.cwd()) == self._cluster:
                return process
        return None

    def _disown_pid_file(self) -> None:
        """Make PostgreSQL see that the process of a stale `postmaster.pid` is no server.

        Its own test, whether a process with that pid exists, is misled by a zombie and by a pid that was given away
        again. A pid file with its parent's pid it takes for stale, and still checks the shared memory named there for
        back ends that outlived their server, so the file is not simply removed.
        """
        with suppress(FileNotFoundError):
            _, rest = self._pid_file.read_text(encoding="utf-8").split("\n", 1)
            self._pid_file.write_text(f"{os.getpid()}\n{rest}", encoding="utf-8")

    # -- making the cluster

    def _make_cluster(self, account: Account) -> None:
        if (self._cluster / "PG_VERSION").exists():
            self._check_version()
            return
        half_made = self.data_dir / "cluster.new"
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir(mode=0o700)
        account.own(half_made)
        password_file = half_made.with_suffix(".password")
        password_file.touch(mode=0o600)
        password_file.write_text(self._password(), encoding="ascii")
        account.own(password_file)
        try:
            self._initdb(account, half_made, password_file)
        finally:
            password_file.unlink()
        half_made.rename(self._cluster)

    def _initdb(self, account: Account, cluster: Path, password_file: Path) -> None:
        locale = (
            ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
            if self._major_version() >= 17
            else ("--locale=C.UTF-8",)
        )
        command = [
            *account.prefix,
            str(self.programs / "initdb"),
            *("--pgdata", str(cluster), "--username", ROLE, "--pwfile", str(password_file)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", *locale),
            *(() if self.durable else ("--no-sync",)),
        ]
        made = subprocess.run(  # noqa: S603 - a list of arguments, no shell
            command, capture_output=True, text=True, cwd="/", check=False
        )
        if made.returncode != 0:
            raise EmbeddedPostgresError(f"initdb could not make {cluster}: {(made.stderr or made.stdout).strip()}")

    def _check_version(self) -> None:
        made_by = (self._cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        if made_by != str(self._major_version()):
            raise EmbeddedPostgresError(
                f"{self._cluster} was made by PostgreSQL {made_by}, and {self.programs} is {self._major_version()}. "
                "Move the data with pg_dump and psql, or name another data directory."
            )

    def _major_version(self) -> int:
        command = [str(self.programs / "postgres"), "--version"]
        told = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - no shell
        return int(told.stdout.split()[2].split(".")[0])

    def _password(self) -> str:
        path = self.data_dir / "password"
        with suppress(FileNotFoundError):
            return path.read_text(encoding="ascii")
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(24), encoding="ascii")
        new.rename(path)
        return path.read_text(encoding="ascii")

    # -- running it

    def _run(self, account: Account) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        self.port = self._choose_port()
        while True:
            said = self._launch(account, deadline)
            if said is None:
                (self.data_dir / "port").write_text(str(self.port), encoding="ascii")
                return
            # Back ends of a killed server hold the cluster until they notice; PostgreSQL names the memory they share.
            if "shared memory block" not in said or time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL did not start in {self._cluster}: {said}")
            time.sleep(0.2)

    def _launch(self, account: Account, deadline: float) -> str | None:
        """Start the server once; None when it answers, else what it said."""
        settings = {**_SETTINGS, "port": str(self.port), **({} if self.durable else _NOT_DURABLE)}
        options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        with self._open_log() as log:
            begin = log.seek(0, os.SEEK_END)
            self._process = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
                [*account.prefix, str(self.programs / "postgres"), "-D", str(self._cluster), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # Ctrl-C in a terminal is for us; we end the server in order
            )
            while self._process.poll() is None:
                if self._ready():
                    return None
                if time.monotonic() > deadline:
                    _end(self._process.pid, self._process.poll)
                    return f"it did not answer within {_START_TIMEOUT:g} s; see {self._log}"
                time.sleep(0.02)
            log.seek(begin)
            return log.read().decode(errors="replace").strip()

    def _ready(self) -> bool:
        with suppress(FileNotFoundError, IndexError):
            lines = self._pid_file.read_text(encoding="utf-8").splitlines()
            return self._process is not None and lines[0] == str(self._process.pid) and lines[7].strip() == "ready"
        return False

    def _open_log(self) -> IO[bytes]:
        if self._log.exists() and self._log.stat().st_size > _LOG_LIMIT:
            self._log.rename(self._log.with_suffix(".old"))
        return self._log.open("a+b")

    def _choose_port(self) -> int:
        """The port asked for; else the last run's, so that clients find the server again; else a free one."""
        if self.port:
            return self.port
        with suppress(FileNotFoundError, ValueError):
            kept = int((self.data_dir / "port").read_text(encoding="ascii"))
            if _is_free(kept):
                return kept
        with socket.socket() as probe:
            probe.bind((_HOST, 0))
            return int(probe.getsockname()[1])

    def _make_database(self) -> None:
        with psycopg.connect(
            self.url.rpartition("/")[0] + "/postgres", autocommit=True, connect_timeout=10
        ) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
        return True


def _end(pid: int, ended: Callable[[], int | None]) -> None:
    """Ask a server to end, without its clients' consent; after 15 s without ceremony."""
    for number, patience in ((_FAST, 15.0), (_IMMEDIATE, 10.0), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + patience
        while ended() is None:
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        else:
            return

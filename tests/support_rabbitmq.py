"""A real RabbitMQ for tests: a node of its own on free loopback ports, killed and restarted at will.

`ORCHESTRATOR_BROKER_URL` names another broker; tests that stop the broker use their own all the same.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psutil

from tests.support import eventually_sync
from tests.support_postgres import missing

BROKER_URL = "ORCHESTRATOR_BROKER_URL"
_START_TIMEOUT = 90.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RabbitMq:
    """A node in `directory`; `start` again after `stop` or `kill` finds the queues as they were."""

    directory: Path
    port: int = field(default_factory=free_port)
    _dist_port: int = field(default_factory=free_port)
    _epmd_port: int = field(default_factory=free_port)
    _node: str = field(default_factory=lambda: f"orchestrator_{uuid4().hex[:8]}@localhost")
    _broker: "subprocess.Popen[bytes] | None" = None
    _epmd: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def pid(self) -> int:
        assert self._broker is not None
        return self._broker.pid

    def start(self) -> str:
        """Run the node and wait until it takes connections."""
        self._write_configuration()
        if self._epmd is None:
            self._epmd = self._run(["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)])
        self._broker = self._run([str(server_script()), "-noinput"])
        try:
            eventually_sync(self._answers, timeout=_START_TIMEOUT, every=0.1, what="RabbitMQ takes connections")
        except AssertionError as failure:
            said = (self.directory / "output").read_text(errors="replace")[-3000:]
            raise AssertionError(f"RabbitMQ did not start: {said}") from failure
        return self.url

    def remembers(self, queue: str) -> bool:
        """Whether the quorum queue's registration is on disk.

        RabbitMQ writes it about a second after the first declaration; one that is killed before that has the queue's
        name and not the queue, and every use of it hangs until an operator deletes it.
        """
        return any(queue.encode() in path.read_bytes() for path in self.directory.glob("mnesia/*/quorum/*/names.dets"))

    def stop(self) -> None:
        """End the node in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the node as a power cut would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let the node fall silent: connections stay open and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End the node and its name server."""
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()

    def _end(self, number: signal.Signals) -> None:
        if self._broker is None:
            return
        children: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self._broker.pid).children(recursive=True)
        self._broker.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            self._broker.wait(30)
        for process in children:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._broker.kill()
        self._broker.wait()
        self._broker = None

    def _answers(self) -> bool:
        assert self._broker is not None
        if self._broker.poll() is not None:
            raise RuntimeError("RabbitMQ ended: " + (self.directory / "output").read_text(errors="replace")[-3000:])
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(b"AMQP\0\0\x09\x01")
            return connection.recv(1) == b"\x01"
        return False

    def _write_configuration(self) -> None:
        (self.directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{self.port}\n"
            "log.file.level = warning\n"
            "disk_free_limit.absolute = 10MB\n"
            "raft.wal_max_size_bytes = 4000000\n"
        )
        (self.directory / "enabled_plugins").write_text("[].\n")

    def _run(self, command: list[str]) -> "subprocess.Popen[bytes]":
        where = {
            "HOME": ".",
            "RABBITMQ_BASE": ".",
            "RABBITMQ_MNESIA_BASE": "mnesia",
            "RABBITMQ_LOG_BASE": "log",
            "RABBITMQ_CONFIG_FILE": "rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "enabled_plugins",
            "RABBITMQ_CONF_ENV_FILE": "no-such-file",
            "RABBITMQ_PID_FILE": "pid",
        }
        environment = {
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "HOSTNAME": "localhost",
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_ALLOW_INPUT": "true",  # with -noinput: the script becomes the server instead of watching over it
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            **{name: str(self.directory / path) for name, path in where.items()},
        }
        with (self.directory / "output").open("ab") as output:
            return subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.directory
            )


@contextmanager
def rabbitmq_node() -> Iterator[RabbitMq]:
    """A started node; ended and removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="orchestrator-mq-"))
    node = RabbitMq(directory)
    try:
        node.start()
        yield node
    finally:
        node.close()
        shutil.rmtree(directory, ignore_errors=True)


def server_script() -> Path:
    """RabbitMQ's own start script, which does not insist on Debian's user; skips or fails where there is none."""
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"), key=_version)
    if not found:
        missing("RabbitMQ is not installed (package rabbitmq-server); tests/install-services installs it.")
    return found[-1]


def _version(script: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", script.parts[-3])]

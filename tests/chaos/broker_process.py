"""A RabbitMQ node that a supervisor can start again: `python -m tests.chaos.broker_process <folder> <ports and node as JSON>`.

The node's own pid is in `<folder>/node.pid`, for whoever kills it; this process ends when the node does.
"""

import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import psutil

from app.demo.lifeline import hold_on, tell_ready
from tests.support_rabbitmq import RabbitMq

PID_FILE = "node.pid"


def main(folder: Path, identity: dict[str, str | int]) -> int:
    """0 when asked to end, 1 where the node has died."""
    hold_on()
    asked_to_end = False

    def end(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked_to_end
        asked_to_end = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    node = RabbitMq(folder, **identity)  # type: ignore[arg-type]  # the ports and the name, as they were given out
    try:
        node.start()
        (folder / PID_FILE).write_text(str(node.pid))
        tell_ready()
        while not asked_to_end and _runs(node.pid):
            time.sleep(0.05)
        return 0 if asked_to_end else 1
    finally:
        node.close()


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))

"""What ties a supervised process to its supervisor: it tells when it is ready, and it ends when the supervisor does.

The supervisor hands over two file descriptors, named by environment variables. From the *lifeline* a process reads
nothing, until end of file tells that the supervisor is gone, by whatever death. Into *ready* it writes one byte.
A third one is only inherited: it holds the lock that the next supervisor on the same data waits for.
"""

import os
import signal
import threading
import time
from contextlib import suppress

LIFELINE = "ORCHESTRATOR_LIFELINE_FD"
READY = "ORCHESTRATOR_READY_FD"
GRACE = 3.0
"""Seconds that an orphan gets to end in order."""


def hold_on() -> None:
    """End this process when its supervisor ends; does nothing where there is none. Call it first of all."""
    fd = _take(LIFELINE)
    if fd is not None:
        os.set_inheritable(fd, False)
        threading.Thread(target=_watch, args=(fd,), name="lifeline", daemon=True).start()


def tell_ready() -> None:
    """Tell the supervisor, if there is one, that this process does its work from now on."""
    fd = _take(READY)
    if fd is not None:
        with suppress(OSError):
            os.write(fd, b"\n")
        os.close(fd)


def _take(name: str) -> int | None:
    number = os.environ.pop(name, None)
    return None if number is None else int(number)


def _watch(fd: int) -> None:
    while os.read(fd, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGKILL)

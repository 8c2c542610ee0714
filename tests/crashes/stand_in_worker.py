"""A worker in a thread of the test: pushes a result for whatever task appears in the outbox, however often it does."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from tests.crashes.plan import append, read
from tests.support_emulator import Emulator


@contextmanager
def working(emulator: Emulator, project_id: int, token: str, folder: Path) -> Iterator[None]:
    """A worker for one project's tasks; a message that comes twice is worked on once."""
    ended = Event()
    done = {entry["id"] for entry in read(folder / "reports")}

    def work() -> None:
        while not ended.wait(0.05):
            for message in read(folder / "outbox"):
                if message["id"] not in done:
                    done.add(message["id"])
                    append(folder / "reports", {"id": message["id"], "commit": push(message)})

    def push(message: dict[str, str]) -> str:
        text = json.dumps({"of": message["output_file"]}, indent=2) + "\n"
        subject = f"Calculate\n\nCorrelation-Id: {message['correlationId']}\n"
        return emulator.commit(
            project_id, message["branch"], {message["output_file"]: text}, message=subject, token=token
        )

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

"""A worker in a thread of the test: takes messages off the real queue and pushes a result for each task, once."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from tests.contract.brokers import Broker
from tests.support_emulator import Emulator


@contextmanager
def working(broker: Broker, emulator: Emulator, project_id: int, token: str, received: list[str]) -> Iterator[None]:
    """Adds the ids of the tasks that come to `received`, doubles included; one that is there already is dropped."""
    ended = Event()

    def work() -> None:
        with broker.channel() as channel:
            queue = broker.declare(channel)
            while not ended.wait(0.05):
                message = queue.get(no_ack=False)
                if message is None:
                    continue
                task = json.loads(message.body)[0][0]
                known = task["correlationId"] in received
                received.append(task["correlationId"])
                if not known:
                    push(task)
                message.ack()

    def push(task: dict[str, Any]) -> None:
        text = json.dumps({"of": task["output_file"]}, indent=2) + "\n"
        subject = f"Calculate\n\nCorrelation-Id: {task['correlationId']}\n"
        emulator.commit(project_id, task["branch"], {task["output_file"]: text}, message=subject, token=token)

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

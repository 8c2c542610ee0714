"""The brokers behind the TaskPublisher port, seen from the other end: what a consumer gets out of a queue."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from celery import Celery

from app.adapters.celery_config import celery_config, default_result_backend, is_pgmq, task_queue
from app.adapters.celery_publisher import CeleryPublisher
from sagas.ids import CommitSha, TaskId
from sagas.ports import TaskMessage

SHA = CommitSha("4f1c2d7a90b3e85f6a7c8d9e0f1a2b3c4d5e6f70")


@dataclass(frozen=True)
class Delivery:
    """A message as it lay in the queue."""

    body: Any
    headers: dict[str, Any]
    properties: dict[str, Any]
    content_type: str


@dataclass(frozen=True)
class Broker:
    """A real broker with a result backend."""

    url: str
    result_backend: str
    queue: str

    def publisher(self, **options: Any) -> CeleryPublisher:
        return CeleryPublisher(self.url, self.result_backend, [self.queue], **options)

    def message(self, **changes: Any) -> TaskMessage:
        fields: dict[str, Any] = {
            "id": TaskId(uuid4()),
            "name": "balance.calculate_condenser",
            "queue": self.queue,
            "repo_url": "http://gitlab.test/plant/unit-1.git",
            "branch": "issue/7-конденсатор",
            "commit_hash": SHA,
            "input_files": ("balance_input.json", "condenser_input.json"),
            "output_file": "condenser_output.json",
        }
        return TaskMessage(**(fields | changes))

    def application(self) -> Celery:
        """A worker's Celery, by the same configuration."""
        application = Celery("test_worker", set_as_current=False)
        application.conf.update(celery_config(self.url, self.result_backend, [self.queue]))
        return application

    def waiting(self, *, count: int, timeout: float = 10.0) -> list[Delivery]:
        """Take `count` messages out of the queue, then make sure that there is no other; AssertionError otherwise."""
        with self.channel() as channel:
            queue = self.declare(channel)
            found: list[Delivery] = []
            deadline = time.monotonic() + timeout
            while len(found) < count and time.monotonic() < deadline:
                found.extend(_taken(queue))
            assert len(found) == count
            assert not list(_taken(queue)), "one message more than expected"
            return found

    def declare(self, channel: Any) -> Any:
        """The queue, declared as producer and worker declare it."""
        queue: Any = task_queue(self.url, self.queue)
        bound = queue(channel)
        bound.declare()
        return bound

    @contextmanager
    def channel(self) -> Iterator[Any]:
        connection = self.application().connection_for_read()
        try:
            yield connection.channel()
        finally:
            connection.release()

    @property
    def is_pgmq(self) -> bool:
        return is_pgmq(self.url)


def broker_for(url: str, database_url: str) -> Broker:
    return Broker(url, default_result_backend(database_url), f"test-{uuid4().hex[:10]}")


def _taken(queue: Any) -> Iterator[Delivery]:
    message = queue.get(no_ack=False)
    if message is None:
        return
    message.ack()
    yield Delivery(json.loads(message.body), message.headers, message.properties, message.content_type)

"""Tasks for the workers by Celery, and their reports from Celery's result backend.

Celery is synchronous: its calls run in small thread pools of their own, one for the broker and one for the result
backend, so that neither waits for the other's outage. Every call has a deadline for its caller, and every socket a
time-out, so that a silent broker frees its thread again.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from celery import Celery, states
from celery.exceptions import BackendError
from kombu.exceptions import KombuError
from sqlalchemy.exc import SQLAlchemyError

from app.adapters.celery_config import celery_config, is_pgmq, task_queue
from sagas import trace
from sagas.errors import RetryableError
from sagas.ids import BlobId, CommitSha, TaskId
from sagas.ports import TaskMessage, TaskReport, TaskState
from sagas.texts import say

logger = logging.getLogger(__name__)
T = TypeVar("T")

_CLOSE_S = 5.0
_CONFIRM_TIMEOUT = 5.0
_SOCKET_TIMEOUT = 6.0
_amqp = import_module("amqp.exceptions")  # a package without types
_ONE_TRY = {"max_retries": 0, "interval_start": 0, "interval_step": 0}
"""kombu would go on trying to connect by itself."""
_NO_TASK = TaskId(UUID(int=0))
_NACK_PAUSES = (0.1, 0.2, 0.4, 0.0)
"""RabbitMQ refuses messages for the moment in which another client's declaration of a new quorum queue is under way."""
_BROKER_FAILURES: tuple[type[BaseException], ...] = (
    KombuError,
    _amqp.AMQPError,
    _amqp.MessageNacked,
    OSError,
    psycopg.Error,
)
_BACKEND_FAILURES: tuple[type[BaseException], ...] = (BackendError, SQLAlchemyError, KombuError, OSError)


class _Link:
    """A connection to the broker with its producer; used by one thread at a time."""

    def __init__(self, application: Celery, options: dict[str, float]) -> None:
        self.connection: Any = application.connection_for_write(transport_options=options)
        self.producer: Any = application.amqp.Producer(self.connection, auto_declare=False)

    def close(self) -> None:
        """Say goodbye to the broker and close."""
        # A connection that broke in the meantime cannot say goodbye; what it raises then helps nobody.
        with suppress(*_BROKER_FAILURES, AttributeError):
            self.connection.release()

    def abandon(self) -> None:
        """Close without a word: a silent broker would let each goodbye wait for its time-out."""
        with suppress(*_BROKER_FAILURES, AttributeError):
            if self.connection.transport.driver_type == "amqp" and self.connection.connected:
                self.connection.connection.collect()
        self.close()


class CeleryPublisher:
    """Implements `TaskPublisher`; also `ping` for readiness. Call `aclose` at the end."""

    def __init__(
        self,
        broker_url: str,
        result_backend: str,
        queues: Sequence[str] = (),
        *,
        concurrency: int = 4,
        patience: float = 15.0,
    ) -> None:
        """`patience`: seconds after which a caller stops waiting, whatever its thread does."""
        # Two applications: Celery's own would open the result backend for each publication, and fail with it.
        self._producing = _application(broker_url, "disabled://", queues)
        self._reading = _application(broker_url, result_backend, queues)
        self._broker_url = broker_url
        self._queues = tuple(queues)
        self._patience = patience
        self._idle: deque[_Link] = deque()
        self._closed = False
        self._under_way: set[Future[Any]] = set()
        self._broker = ThreadPoolExecutor(concurrency, thread_name_prefix="broker")
        self._backend = ThreadPoolExecutor(concurrency, thread_name_prefix="result-backend")

    async def publish(self, message: TaskMessage) -> None:
        """Declare the queue where it is missing, hand the message over and wait for the broker's confirmation.

        Raises RetryableError("BROKER_UNAVAILABLE") where it was not confirmed: it may be in the queue all the same, and
        publishing it again under its id is harmless.
        """
        context = trace.current.get()
        headers = {} if context is None else {"traceparent": context}
        await self._ask_broker(
            lambda link: self._send(link, message, headers),
            say("did not confirm the task {task}", task=str(message.id)),
        )

    async def report(self, task: TaskId) -> TaskReport:
        """What the result backend says; a task that it never heard of is PENDING.

        Raises RetryableError("RESULT_BACKEND_UNAVAILABLE") where it does not answer.
        """
        try:
            meta = await self._in_thread(self._backend, lambda: self._read_meta(task))
        except _BACKEND_FAILURES as failure:
            raise RetryableError(
                "RESULT_BACKEND_UNAVAILABLE",
                say("Celery's result backend does not answer: {failure}", failure=_text(failure)),
            ) from failure
        return _report(meta)

    async def revoke(self, task: TaskId) -> None:
        """Ask the workers that listen just now to drop the task; a failure is logged and otherwise ignored.

        On PostgreSQL as the broker nobody listens: a control queue would be one more table for each worker ever run.
        """
        if is_pgmq(self._broker_url):
            return
        try:
            await self._ask_broker(lambda link: self._revoke(link, task), f"did not take the revocation of {task}")
        except RetryableError as failure:
            logger.info("%s", failure.message)

    async def ping(self) -> None:
        """Ask the broker for a sign of life; raises RetryableError("BROKER_UNAVAILABLE") where there is none."""
        await self._ask_broker(_check, say("does not answer"))

    async def prepare(self) -> None:
        """Connect and declare the queues ahead of the first task; what is away is found when it is needed.

        Declaring on PostgreSQL waits for the workers' present poll to end, which takes seconds.
        """
        for ask in (partial(self._ask_broker, self._declare, say("does not answer")), partial(self.report, _NO_TASK)):
            with suppress(RetryableError):
                await ask()

    async def aclose(self) -> None:
        """Close the connections; calls under way get a moment to end, then end by their time-outs."""
        self._closed = True
        for pool in (self._broker, self._backend):
            pool.shutdown(wait=False, cancel_futures=True)
        # What they have open is theirs to close: gone before them, it would be closed by nobody.
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.gather(*map(asyncio.wrap_future, self._under_way), return_exceptions=True)
        await asyncio.to_thread(self._drop_idle)

    # -- the broker

    async def _ask_broker(self, act: Callable[[_Link], None], trouble: str) -> None:
        try:
            await self._in_thread(self._broker, lambda: self._with_link(act))
        except _BROKER_FAILURES as failure:
            raise RetryableError(
                "BROKER_UNAVAILABLE",
                say("The task broker {trouble}: {failure}", trouble=trouble, failure=_text(failure)),
            ) from failure

    def _with_link(self, act: Callable[[_Link], None]) -> None:
        """Act over an idle connection; where that one turns out to be dead, over a new one."""
        try:
            link = self._idle.pop()
        except IndexError:
            self._use(self._new_link(), act)
            return
        try:
            self._use(link, act)
        except _BROKER_FAILURES:
            self._drop_idle()
            self._use(self._new_link(), act)

    def _use(self, link: _Link, act: Callable[[_Link], None]) -> None:
        try:
            act(link)
        except BaseException:
            link.abandon()
            raise
        if self._closed:
            link.close()
        else:
            self._idle.append(link)

    def _new_link(self) -> _Link:
        sockets = (
            {} if is_pgmq(self._broker_url) else {"read_timeout": _SOCKET_TIMEOUT, "write_timeout": _SOCKET_TIMEOUT}
        )
        return _Link(self._producing, {**_ONE_TRY, **sockets})

    def _drop_idle(self) -> None:
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def _declare(self, link: _Link) -> None:
        for name in self._queues:
            link.producer.maybe_declare(task_queue(self._broker_url, name))

    def _send(self, link: _Link, message: TaskMessage, headers: Mapping[str, str]) -> None:
        for pause in _NACK_PAUSES:
            try:
                self._send_once(link, message, headers)
            except KombuError as failure:
                if not isinstance(failure.__cause__, _amqp.MessageNacked):
                    raise
                time.sleep(pause)
            else:
                return
        raise KombuError("it refused the message (nack)")

    def _send_once(self, link: _Link, message: TaskMessage, headers: Mapping[str, str]) -> None:
        self._producing.send_task(
            message.name,
            args=[message.body()],
            task_id=str(message.id),
            headers=dict(headers),
            queue=task_queue(self._broker_url, message.queue),
            producer=link.producer,
            mandatory=True,  # a message that reaches no queue is an error, not a loss
            confirm_timeout=_CONFIRM_TIMEOUT,
            retry=False,
        )

    def _revoke(self, link: _Link, task: TaskId) -> None:
        self._producing.control.revoke(str(task), connection=link.connection)

    # -- the result backend

    def _read_meta(self, task: TaskId) -> dict[str, Any]:
        meta: dict[str, Any] = self._reading.backend.get_task_meta(str(task), cache=False)
        return meta

    async def _in_thread(self, pool: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        future = pool.submit(call)
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        try:
            async with asyncio.timeout(self._patience) as limit:
                return await asyncio.wrap_future(future)
        except TimeoutError as failure:
            if not limit.expired():
                raise
            raise TimeoutError(f"no answer within {self._patience:g} s") from failure


def _application(broker_url: str, result_backend: str, queues: Sequence[str]) -> Celery:
    application = Celery("balance_orchestrator", set_as_current=False)
    application.conf.update(celery_config(broker_url, result_backend, queues))
    return application


def _check(link: _Link) -> None:
    link.connection.ensure_connection(max_retries=1)
    if not link.connection.transport.verify_connection(link.connection.connection):
        raise OSError("the connection is not usable")
    link.connection.channel().close()


def _report(meta: dict[str, Any]) -> TaskReport:
    """Celery's record of a task as the engine's report; a worker that returns something else still succeeded."""
    status, result = meta["status"], meta.get("result")
    if status == states.SUCCESS:
        told = result if isinstance(result, dict) else {}
        commit, blob = told.get("commit"), told.get("outputBlob")
        return TaskReport(
            TaskState.SUCCEEDED,
            commit=CommitSha(commit) if isinstance(commit, str) else None,
            output_blob=BlobId(blob) if isinstance(blob, str) else None,
        )
    if status == states.FAILURE:
        return TaskReport(TaskState.FAILED, error=_failure(result))
    return TaskReport(TaskState.REVOKED if status == states.REVOKED else TaskState.PENDING)


def _failure(result: object) -> str:
    """The text of a worker's exception, as Celery rebuilt it or as it was stored."""
    if isinstance(result, dict):
        message = result.get("exc_message")
        parts = message if isinstance(message, (list, tuple)) else [message]
        return " ".join(str(part) for part in parts if part) or str(result.get("exc_type", "The worker failed."))
    if isinstance(result, BaseException):
        return str(result) or type(result).__name__
    return str(result) if result else "The worker failed and gave no reason."


def _text(failure: BaseException) -> str:
    return str(failure) or type(failure).__name__

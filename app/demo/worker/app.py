"""The Celery application of the demo worker, and its process."""

import os
import socket
from functools import partial

from celery import Celery

from app.adapters.celery_config import celery_config, is_pgmq
from app.demo.worker.errors import CalculationFailed
from app.demo.worker.perform import TaskResult, perform, remove_leftovers
from app.demo.worker.settings import WorkerSettings
from sagas.catalogue import Catalogue

PGMQ_TRANSPORT = "app.demo.worker.pgmq_transport:Transport"


def create_worker_app(settings: WorkerSettings) -> Celery:
    """A Celery application that knows a task for each shipped calculation, under the catalogue's names.

    Broker, serialisation and queues are configured as the producer's; a message is acknowledged only after its result
    is on the branch, so that a worker killed in between has it delivered again, to itself or to another.
    """
    application = Celery("balance_worker", set_as_current=False)
    application.conf.update(celery_config(settings.broker_url, settings.result_backend, settings.queues))
    on_postgres = is_pgmq(settings.broker_url)
    application.conf.update(
        broker_transport=PGMQ_TRANSPORT if on_postgres else None,
        worker_concurrency=settings.concurrency,
        worker_redirect_stdouts=False,
        worker_hijack_root_logger=False,
        # A failure is told nowhere but here: while the backend is away, go on for about ten minutes.
        result_backend_always_retry=True,
        result_backend_max_retries=70,
        # On PostgreSQL each worker's control queue is a table that nobody would drop after it.
        worker_enable_remote_control=not on_postgres,
    )
    for calculation in Catalogue.load().calculations:
        _register(application, calculation.task, partial(perform, calculation.name, settings=settings))
    return application


def run_worker(settings: WorkerSettings) -> int:
    """Serve the queues in this very process until SIGTERM or SIGINT, which let the task at hand end; the exit code."""
    settings.work_dir.mkdir(parents=True, exist_ok=True)
    remove_leftovers(settings.work_dir)
    application = create_worker_app(settings)
    worker = application.Worker(
        hostname=f"balance-worker-{os.getpid()}@{socket.gethostname()}",
        pool_cls=settings.pool,
        concurrency=settings.concurrency,
        queues=",".join(settings.queues),
        loglevel="INFO",
        optimization="fair",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _register(application: Celery, task_name: str, work: "partial[TaskResult]") -> None:
    def task(message: object) -> TaskResult:
        return work(message)

    application.task(task, name=task_name, throws=(CalculationFailed,))

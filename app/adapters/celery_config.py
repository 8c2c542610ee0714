"""One configuration of Celery for producer and workers: two brokers, one set of promises.

JSON only; durable queues (quorum queues on RabbitMQ), persistent messages, publisher confirms; a worker acknowledges a
task after its work and takes one at a time, so a killed worker's task comes back. Nothing here retries a publication:
the saga that publishes does.
"""

from collections.abc import Callable, Iterable
from typing import Any

import psycopg
from kombu.entity import Exchange, Queue
from pgmq.install import get_embedded_install_sql
from sqlalchemy import make_url

PGMQ_TRANSPORT = "app.adapters.pgmq_transport:Transport"
CONNECT_TIMEOUT = 4
"""Seconds to reach a broker or the result backend."""
_VISIBILITY = 20
"""Seconds after which a task whose worker fell silent is given to another (pgmq only; RabbitMQ notices by itself)."""
_queue: Callable[..., Queue] = Queue  # kombu's constructors are not typed
_exchange: Callable[..., Exchange] = Exchange
_SESSION = "-cidle_in_transaction_session_timeout=5s"
"""For PostgreSQL: a process that is stopped while it declares a queue must not keep all others waiting at its locks.
Without a space, which libpq would not read back from an address as SQLAlchemy writes it."""
_PGMQ_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('balance-orchestrator pgmq', 0))"


def celery_config(broker_url: str, result_backend: str, queues: Iterable[str]) -> dict[str, Any]:
    """Settings for `Celery.conf.update`.

    `broker_url`: `amqp://`, `amqps://` or `pgmq://user:password@host:port/database`, whose query is libpq's.
    `queues`: what a worker serves when nothing else is said; the first is the default queue.
    """
    names = list(queues)
    return {
        "broker_url": broker_url.partition("?")[0] if is_pgmq(broker_url) else broker_url,
        "broker_transport": PGMQ_TRANSPORT if is_pgmq(broker_url) else None,
        "broker_connection_timeout": CONNECT_TIMEOUT,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": _transport_options(broker_url),
        "task_queues": [task_queue(broker_url, name) for name in names],
        "task_default_queue": names[0] if names else "celery",
        "task_default_delivery_mode": "persistent",
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "task_publish_retry": False,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        # On PostgreSQL each worker's control queue is a table that nobody would drop after it.
        "worker_enable_remote_control": not is_pgmq(broker_url),
        "result_backend": result_backend,
        "result_backend_always_retry": False,
        "database_engine_options": {
            "connect_args": {"connect_timeout": CONNECT_TIMEOUT, "options": _SESSION},
            "pool_pre_ping": True,
        }
        if result_backend.startswith("db+postgresql")
        else {},
        "enable_utc": True,
        "timezone": "UTC",
    }


def task_queue(broker_url: str, name: str) -> Queue:
    """The queue as producer and worker both declare it: RabbitMQ refuses a second declaration that differs."""
    arguments = None if is_pgmq(broker_url) else {"x-queue-type": "quorum"}
    return _queue(name, _exchange(name, type="direct"), routing_key=name, durable=True, queue_arguments=arguments)


def is_pgmq(broker_url: str) -> bool:
    """Whether PostgreSQL itself is the broker."""
    return broker_url.startswith("pgmq:")


def default_broker_url(database_url: str) -> str:
    """The broker where none is named: queues in the service's own database. Needs `install_pgmq`."""
    return make_url(database_url).set(drivername="pgmq").render_as_string(hide_password=False)


def default_result_backend(database_url: str) -> str:
    """Celery's result backend where none is named: its tables in the service's own database."""
    return "db+" + make_url(database_url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def install_pgmq(database_url: str) -> None:
    """Put pgmq's schema into the database where it is missing, from the SQL that the PyPI package `pgmq` carries.

    Processes that do it at once wait for each other. Raises `psycopg.Error` where the database is away or refuses.
    """
    plain = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, connect_timeout=CONNECT_TIMEOUT) as connection:
        connection.execute(_PGMQ_LOCK)
        if connection.execute("SELECT to_regclass('pgmq.meta') IS NULL").fetchone() == (True,):
            connection.execute(get_embedded_install_sql().encode())


def _transport_options(broker_url: str) -> dict[str, Any]:
    if not is_pgmq(broker_url):
        return {"confirm_publish": True}
    url = make_url(broker_url).set(drivername="postgresql")
    url = url.update_query_dict({"connect_timeout": str(CONNECT_TIMEOUT), "options": _SESSION})
    return {
        "conn_string": url.render_as_string(hide_password=False),
        "init_extension": False,
        "visibility_timeout": _VISIBILITY,
        "wait_time_seconds": 2,
        "poll_interval_ms": 50,
        "polling_interval": 0.1,
        "pool_size": 4,
        "pool_timeout": CONNECT_TIMEOUT,
    }

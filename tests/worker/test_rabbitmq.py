"""The worker on a real RabbitMQ: quorum queue, redelivery at once, and a broker that dies and comes back."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.adapters.celery_config import default_result_backend
from tests.support import eventually_sync
from tests.support_rabbitmq import RabbitMq, rabbitmq_node
from tests.worker.repositories import Origin, condenser_message, make_origin
from tests.worker.setting import QUEUE, Setting, kill_with_children, stop_pushes, wait_for

pytestmark = pytest.mark.rabbitmq


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMq]:
    with rabbitmq_node() as node:
        yield node


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return make_origin(tmp_path)


@pytest.fixture
def setting(rabbitmq: RabbitMq, database_url: str, tmp_path: Path) -> Iterator[Setting]:
    setting = Setting(rabbitmq.url, default_result_backend(database_url), tmp_path)
    yield setting
    setting.producer.close()


def test_a_task_goes_through_rabbitmq_and_its_result_comes_back(origin: Origin, setting: Setting) -> None:
    message = condenser_message(origin)
    with setting.worker() as process:
        result = setting.send(message)
        wait_for(result)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert origin.commits_since(str(message["commitHash"])) == [result.result["commit"]]


@pytest.mark.crash
def test_a_killed_workers_task_is_done_by_the_next_at_once(origin: Origin, setting: Setting) -> None:
    """RabbitMQ notices the broken connection: no time-out to wait for."""
    message = condenser_message(origin)
    reached, go_on = stop_pushes(origin)
    with setting.worker() as process:
        result = setting.send(message)
        eventually_sync(reached.exists, timeout=20, what="the push begins")
        kill_with_children(process.pid)
    go_on.touch()
    with setting.worker():
        wait_for(result, timeout=15)
    assert origin.commits_since(str(message["commitHash"])) == [result.result["commit"]]


@pytest.mark.crash
def test_a_broker_killed_under_a_working_worker_gets_its_tasks_done_when_it_is_back(
    origin: Origin, setting: Setting, rabbitmq: RabbitMq
) -> None:
    message = condenser_message(origin)
    reached, go_on = stop_pushes(origin)
    with setting.worker() as process:
        result = setting.send(message)
        eventually_sync(reached.exists, timeout=20, what="the push begins")
        eventually_sync(lambda: rabbitmq.remembers(QUEUE), what="the queue is on disk")
        rabbitmq.kill()
        go_on.touch()
        eventually_sync(lambda: origin.head() != message["commitHash"], what="the push lands")
        rabbitmq.start()
        wait_for(result, timeout=60)
        later = setting.send(condenser_message(origin))
        wait_for(later, timeout=60)
        assert process.poll() is None

    assert result.result["commit"] == origin.head()
    assert later.result["unchanged"] is True

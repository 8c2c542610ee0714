"""The worker as a real Celery process on the embedded default broker: results, failures, and kill -9."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from app.adapters.celery_config import default_broker_url, default_result_backend, install_pgmq
from app.adapters.embedded import PostgresServer
from app.demo.worker.errors import CalculationFailed
from tests.support import eventually_sync
from tests.support_postgres import data_directory
from tests.worker.repositories import Origin, condenser_message, make_origin
from tests.worker.setting import QUEUE, ROOT, TOKEN, Setting, kill_with_children, stop_pushes, wait_for


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return make_origin(tmp_path)


def setting_on(database_url: str, tmp_path: Path) -> Setting:
    """Broker and result backend in one PostgreSQL, as without any setting."""
    return Setting(default_broker_url(database_url), default_result_backend(database_url), tmp_path)


@pytest.fixture
def setting(database_url: str, tmp_path: Path) -> Iterator[Setting]:
    install_pgmq(database_url)
    setting = setting_on(database_url, tmp_path)
    yield setting
    setting.producer.close()


def test_results_and_failures_come_back_through_broker_and_backend(origin: Origin, setting: Setting) -> None:
    message = condenser_message(origin)
    good = origin.head()
    hot = json.loads(origin.show("condenser_input.json"))
    hot["cooling_water"]["inlet_temperature_c"] = 90
    too_hot = origin.commit({"condenser_input.json": json.dumps(hot)}, "Hot water")
    with setting.worker() as process:
        result = setting.send(message)
        failed = setting.send(condenser_message(origin, commitHash=too_hot))
        broken = setting.send(condenser_message(origin, branch="a..b"))
        for sent in (result, failed, broken):
            wait_for(sent)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0

    schema = json.loads((ROOT / "docs" / "contracts" / "task-result.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(result.result)
    assert (result.status, failed.status, broken.status) == ("SUCCESS", "FAILURE", "FAILURE")
    assert origin.commits_since(good) == [too_hot, result.result["commit"]]
    assert isinstance(failed.result, CalculationFailed)
    assert str(failed.result) == (
        "condenser_input.json/cooling_water/inlet_temperature_c: "
        "Inlet temperature must be a number from 1 to 40 °C; it is 90."
    )
    assert str(broken.result) == "branch must be a branch name that git accepts."
    assert TOKEN not in setting.logs.read_text(encoding="utf-8")


@pytest.mark.crash
def test_a_worker_killed_before_its_push_has_the_task_done_and_its_clone_removed_by_the_next(
    origin: Origin, setting: Setting, tmp_path: Path
) -> None:
    """The kill comes while git speaks to the server; git's own process is killed too, so that nothing was pushed."""
    clones = tmp_path / "clones"
    message = condenser_message(origin)
    reached, go_on = stop_pushes(origin)
    with setting.worker() as process:
        result = setting.send(message)
        eventually_sync(reached.exists, timeout=20, what="the push begins")
        kill_with_children(process.pid)
    assert origin.head() == message["commitHash"]
    assert list(clones.iterdir())
    go_on.touch()

    with setting.worker():
        assert not list(clones.iterdir())
        wait_for(result, timeout=60)

    assert result.status == "SUCCESS"
    assert origin.commits_since(str(message["commitHash"])) == [result.result["commit"]]
    assert origin.trailer(origin.head()) == message["correlationId"]


@pytest.mark.crash
def test_a_worker_killed_after_its_push_has_the_task_reported_and_not_repeated(
    origin: Origin, setting: Setting
) -> None:
    """The worker dies, its git goes on and pushes; the second delivery finds that commit."""
    message = condenser_message(origin)
    reached, go_on = stop_pushes(origin)
    with setting.worker() as process:
        result = setting.send(message)
        eventually_sync(reached.exists, timeout=20, what="the push begins")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        go_on.touch()
        eventually_sync(lambda: origin.head() != message["commitHash"], timeout=20, what="the orphaned push lands")
    pushed = origin.head()

    with setting.worker():
        wait_for(result, timeout=60)

    assert result.status == "SUCCESS"
    assert result.result["commit"] == pushed
    assert origin.head() == pushed


@pytest.mark.crash
def test_a_broker_and_result_backend_killed_under_a_working_worker_get_the_result_when_they_are_back(
    origin: Origin, tmp_path: Path
) -> None:
    with data_directory() as directory:
        server = PostgresServer(directory)
        setting = setting_on(server.start(), tmp_path)
        try:
            install_pgmq(server.url)
            message = condenser_message(origin)
            reached, go_on = stop_pushes(origin)
            with setting.worker() as process:
                result = setting.send(message)
                eventually_sync(reached.exists, timeout=20, what="the push begins")
                assert server.pid is not None
                os.kill(server.pid, signal.SIGKILL)
                eventually_sync(lambda: server.pid is None, what="the server is gone")
                go_on.touch()
                eventually_sync(lambda: origin.head() != message["commitHash"], what="the push lands")
                server.start()
                wait_for(result, timeout=60)
                later = setting.send(condenser_message(origin))
                wait_for(later, timeout=60)

                os.kill(server.pid, signal.SIGKILL)
                eventually_sync(lambda: server.pid is None, what="the server is gone while the worker is idle")
                server.start()
                last = setting.send(condenser_message(origin))
                wait_for(last, timeout=60)
                assert process.poll() is None
        finally:
            setting.producer.close()
            server.stop()

    assert result.result["commit"] == origin.head()
    assert later.result["unchanged"] is last.result["unchanged"] is True


def test_the_same_message_sent_many_times_makes_one_commit(origin: Origin, setting: Setting) -> None:
    message = condenser_message(origin)
    with setting.worker(), setting.worker(work_dir=setting.settings["work_dir"] + "-2"):
        results = [setting.send(message) for _ in range(6)]
        other = setting.send(condenser_message(origin, output_file="other_output.json"))
        for result in (*results, other):
            wait_for(result)
        # The last one in the queue is done; those before it may still be under way at the other worker.
        eventually_sync(lambda: queue_is_empty(setting), timeout=30, what="all deliveries are acknowledged")

    touching = [
        c for c in origin.commits_since(str(message["commitHash"])) if origin.trailer(c) == message["correlationId"]
    ]
    assert len(touching) == 1


def queue_is_empty(setting: Setting) -> bool:
    with setting.producer.connection_for_write() as connection:
        channel = connection.channel()
        return bool(channel._size(QUEUE) == 0)

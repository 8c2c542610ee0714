"""What the engine may expect of a TaskPublisher, on both real brokers, and what holds when they go away."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from app.adapters.celery_config import default_broker_url, default_result_backend, install_pgmq
from app.adapters.celery_publisher import CeleryPublisher
from app.adapters.embedded import PostgresServer
from sagas import trace
from sagas.errors import RetryableError
from sagas.ports import TaskPublisher, TaskReport, TaskState
from tests.contract.brokers import SHA, Broker, broker_for
from tests.support import eventually
from tests.support_postgres import data_directory
from tests.support_rabbitmq import RabbitMq, free_port

BLOB = "0123456789abcdef0123456789abcdef01234567"


def on_pgmq(database_url: str) -> Broker:
    install_pgmq(database_url)
    return broker_for(default_broker_url(database_url), database_url)


@pytest.fixture(params=["pgmq", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def broker(request: pytest.FixtureRequest, database_url: str) -> Broker:
    if request.param == "pgmq":
        return on_pgmq(database_url)
    return broker_for(request.getfixturevalue("rabbitmq_url"), database_url)


@pytest.fixture
def on_rabbitmq(rabbitmq: RabbitMq, database_url: str) -> Broker:
    """Our own node, which a test may stop."""
    return broker_for(rabbitmq.url, database_url)


@pytest.fixture
async def publisher(broker: Broker) -> AsyncIterator[CeleryPublisher]:
    publisher = broker.publisher()
    yield publisher
    await publisher.aclose()


@pytest.fixture
async def rabbit_publisher(on_rabbitmq: Broker) -> AsyncIterator[CeleryPublisher]:
    publisher = on_rabbitmq.publisher(patience=8.0)
    yield publisher
    await publisher.aclose()


def _conforms(publisher: CeleryPublisher) -> TaskPublisher:
    return publisher


# -- what is in the queue ---------------------------------------------------------------------------------------------


async def test_the_contract_is_the_single_positional_argument_verbatim(
    broker: Broker, publisher: CeleryPublisher
) -> None:
    message = broker.message()
    await publisher.publish(message)
    (delivery,) = await asyncio.to_thread(broker.waiting, count=1)
    positional, keywords, _ = delivery.body
    assert positional == [
        {
            "correlationId": str(message.id),
            "repoUrl": "http://gitlab.test/plant/unit-1.git",
            "branch": "issue/7-конденсатор",
            "commitHash": SHA,
            "input_files": ["balance_input.json", "condenser_input.json"],
            "output_file": "condenser_output.json",
        }
    ]
    assert keywords == {}
    assert delivery.headers["task"] == "balance.calculate_condenser"
    assert delivery.headers["id"] == str(message.id)
    assert delivery.properties["correlation_id"] == str(message.id)
    assert delivery.content_type == "application/json"
    assert delivery.properties["delivery_mode"] == 2, "persistent"


async def test_the_trace_travels_in_a_header_and_leaves_the_contract_as_it_is(
    broker: Broker, publisher: CeleryPublisher
) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    traced, untraced = broker.message(), broker.message()
    before = trace.current.set(traceparent)
    try:
        await publisher.publish(traced)
    finally:
        trace.current.reset(before)
    await publisher.publish(untraced)
    first, second = await asyncio.to_thread(broker.waiting, count=2)
    assert (first.headers["id"], first.headers["traceparent"]) == (str(traced.id), traceparent)
    assert first.body[0] == [traced.body()]
    assert "traceparent" not in second.headers


async def test_published_again_it_keeps_its_id(broker: Broker, publisher: CeleryPublisher) -> None:
    message = broker.message()
    await publisher.publish(message)
    await publisher.publish(message)
    deliveries = await asyncio.to_thread(broker.waiting, count=2)
    assert [delivery.headers["id"] for delivery in deliveries] == [str(message.id)] * 2


async def test_many_at_once_arrive_once_each(broker: Broker, publisher: CeleryPublisher) -> None:
    messages = [broker.message() for _ in range(40)]
    await asyncio.gather(*[publisher.publish(message) for message in messages])
    deliveries = await asyncio.to_thread(broker.waiting, count=40)
    assert {delivery.headers["id"] for delivery in deliveries} == {str(message.id) for message in messages}


async def test_a_catalogue_s_new_queue_needs_no_setting(broker: Broker, publisher: CeleryPublisher) -> None:
    other = Broker(broker.url, broker.result_backend, f"{broker.queue}.new")
    await publisher.publish(other.message())
    assert len(await asyncio.to_thread(other.waiting, count=1)) == 1


@pytest.mark.rabbitmq
async def test_the_queue_is_durable_and_a_quorum_queue(on_rabbitmq: Broker, rabbit_publisher: CeleryPublisher) -> None:
    await rabbit_publisher.publish(on_rabbitmq.message())

    def declare(**changes: Any) -> None:
        with on_rabbitmq.channel() as channel:
            same = {"durable": True, "auto_delete": False, "arguments": {"x-queue-type": "quorum"}}
            channel.queue_declare(on_rabbitmq.queue, **(same | changes))

    await asyncio.to_thread(declare)
    with pytest.raises(Exception, match="PRECONDITION_FAILED"):
        await asyncio.to_thread(declare, arguments={})


@pytest.mark.rabbitmq
async def test_a_queue_of_another_kind_is_told_in_words(on_rabbitmq: Broker, rabbit_publisher: CeleryPublisher) -> None:
    def declare_classic() -> None:
        with on_rabbitmq.channel() as channel:
            channel.queue_declare(on_rabbitmq.queue, durable=True, auto_delete=False)

    await asyncio.to_thread(declare_classic)
    with pytest.raises(RetryableError, match="x-queue-type") as refused:
        await rabbit_publisher.publish(on_rabbitmq.message())
    assert refused.value.code == "BROKER_UNAVAILABLE"


@pytest.mark.rabbitmq
async def test_a_message_never_vanishes_because_somebody_deleted_the_queue(
    on_rabbitmq: Broker, rabbit_publisher: CeleryPublisher
) -> None:
    await rabbit_publisher.publish(on_rabbitmq.message())

    def delete() -> None:
        with on_rabbitmq.channel() as channel:
            channel.queue_delete(on_rabbitmq.queue)

    await asyncio.to_thread(delete)
    message = on_rabbitmq.message()
    await rabbit_publisher.publish(message)
    (delivery,) = await asyncio.to_thread(on_rabbitmq.waiting, count=1)
    assert delivery.headers["id"] == str(message.id)


# -- when the broker is away ------------------------------------------------------------------------------------------


@pytest.mark.rabbitmq
@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_rabbitmq_goes_and_comes_back_under_one_publisher_and_loses_nothing(
    rabbitmq: RabbitMq, on_rabbitmq: Broker, rabbit_publisher: CeleryPublisher, end: str
) -> None:
    before, during = on_rabbitmq.message(), on_rabbitmq.message()
    await rabbit_publisher.publish(before)
    await eventually(lambda: rabbitmq.remembers(on_rabbitmq.queue))
    await asyncio.to_thread(rabbitmq.stop if end == "stop" else rabbitmq.kill)
    try:
        with pytest.raises(RetryableError) as refused:
            await rabbit_publisher.publish(during)
        assert refused.value.code == "BROKER_UNAVAILABLE"
        with pytest.raises(RetryableError):
            await rabbit_publisher.ping()
    finally:
        await asyncio.to_thread(rabbitmq.start)
    await eventually(lambda: published(rabbit_publisher, during), timeout=30, what="the same publisher publishes again")
    deliveries = await asyncio.to_thread(on_rabbitmq.waiting, count=2)
    assert [delivery.headers["id"] for delivery in deliveries] == [str(before.id), str(during.id)]


async def published(publisher: CeleryPublisher, message: Any) -> bool:
    try:
        await publisher.publish(message)
    except RetryableError:
        return False
    return True


@pytest.mark.rabbitmq
async def test_a_silent_broker_holds_no_caller_and_no_thread_for_ever(rabbitmq: RabbitMq, on_rabbitmq: Broker) -> None:
    publisher = on_rabbitmq.publisher(patience=1.0, concurrency=1)
    try:
        await publisher.publish(on_rabbitmq.message())
        rabbitmq.pause()
        try:
            began = time.monotonic()
            with pytest.raises(RetryableError, match="no answer within 1 s"):
                await publisher.publish(on_rabbitmq.message())
            assert time.monotonic() - began < 3
            # The result backend is asked by other threads.
            assert (await publisher.report(on_rabbitmq.message().id)).state is TaskState.PENDING
        finally:
            rabbitmq.go_on()
        await eventually(lambda: published(publisher, on_rabbitmq.message()), timeout=30, what="the one thread is free")
    finally:
        await publisher.aclose()


async def test_postgresql_as_the_broker_goes_and_comes_back() -> None:
    with data_directory() as directory:
        server = PostgresServer(directory, durable=False)
        broker = on_pgmq(await asyncio.to_thread(server.start))
        publisher = broker.publisher()
        try:
            before, during = broker.message(), broker.message()
            await publisher.publish(before)
            server.stop()
            with pytest.raises(RetryableError) as refused:
                await publisher.publish(during)
            assert refused.value.code == "BROKER_UNAVAILABLE"
            with pytest.raises(RetryableError) as unread:
                await publisher.report(before.id)
            assert unread.value.code == "RESULT_BACKEND_UNAVAILABLE"
            server.start()
            await eventually(lambda: published(publisher, during), timeout=30)
            deliveries = await asyncio.to_thread(broker.waiting, count=2)
            assert [delivery.headers["id"] for delivery in deliveries] == [str(before.id), str(during.id)]
        finally:
            await publisher.aclose()
            server.stop()


async def test_no_broker_at_all_is_an_outage_not_a_crash(database_url: str) -> None:
    publisher = CeleryPublisher(
        f"amqp://guest:guest@127.0.0.1:{free_port()}//", default_result_backend(database_url), ["q"]
    )
    try:
        for call in (publisher.publish(broker_for("amqp://", database_url).message()), publisher.ping()):
            with pytest.raises(RetryableError) as refused:
                await call
            assert refused.value.code == "BROKER_UNAVAILABLE"
        await publisher.revoke(broker_for("amqp://", database_url).message().id)
    finally:
        await publisher.aclose()


async def test_publishing_does_not_need_the_result_backend(broker: Broker) -> None:
    nowhere = f"db+postgresql+psycopg://nobody@127.0.0.1:{free_port()}/nothing"
    publisher = Broker(broker.url, nowhere, broker.queue).publisher()
    try:
        message = broker.message()
        await publisher.publish(message)
        with pytest.raises(RetryableError) as unread:
            await publisher.report(message.id)
        assert unread.value.code == "RESULT_BACKEND_UNAVAILABLE"
    finally:
        await publisher.aclose()
    assert len(await asyncio.to_thread(broker.waiting, count=1)) == 1


async def test_pgmq_that_is_not_installed_is_told(database_url: str) -> None:
    broker = broker_for(default_broker_url(database_url), database_url)
    publisher = broker.publisher()
    try:
        with pytest.raises(RetryableError, match="pgmq"):
            await publisher.publish(broker.message())
    finally:
        await publisher.aclose()


async def test_a_broker_that_answers_is_pinged(publisher: CeleryPublisher) -> None:
    await publisher.ping()
    await publisher.ping()


def test_installing_pgmq_again_keeps_its_queues(any_database_url: str) -> None:
    broker = on_pgmq(any_database_url)
    with broker.channel() as channel:
        broker.declare(channel)
    install_pgmq(any_database_url)
    with broker.channel() as channel:
        assert channel.queue_declare(broker.queue, passive=True).message_count == 0


async def test_a_process_that_is_stopped_while_it_declares_a_queue_keeps_it_from_others_for_seconds_only(
    database_url: str,
) -> None:
    """Its session is ended by PostgreSQL itself: nobody else can tell that it sleeps."""
    broker = on_pgmq(f"{database_url}?application_name=sleeper")
    publisher = broker.publisher()
    message = broker.message()
    connection = broker.application().connection_for_write()
    try:
        channel = connection.channel()
        with channel.pgmq.pool.connection() as sleeper:
            assert sleeper.execute("SHOW application_name").fetchone() == ("sleeper",), "the whole address counts"
            sleeper.execute("SELECT pgmq.create(%s)", [channel.canonical_queue_name(broker.queue)])
            await eventually(lambda: published(publisher, message), timeout=30)
            with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
                sleeper.execute("SELECT 1")
    finally:
        connection.release()
        await publisher.aclose()


# -- revoking ---------------------------------------------------------------------------------------------------------


@pytest.mark.rabbitmq
async def test_a_revocation_reaches_the_workers_that_listen(
    on_rabbitmq: Broker, rabbit_publisher: CeleryPublisher
) -> None:
    task = on_rabbitmq.message().id
    heard: list[str] = []
    with on_rabbitmq.channel() as channel:
        node = on_rabbitmq.application().control.mailbox.Node("listener@test", channel=channel)
        node.handlers["revoke"] = lambda state, task_id, **_: heard.append(task_id)
        consumer = await asyncio.to_thread(node.listen)
        await rabbit_publisher.revoke(task)
        while not heard:
            await asyncio.to_thread(consumer.connection.drain_events, timeout=10)
    assert heard == [str(task)]


async def test_without_listeners_a_revocation_leaves_nothing_behind(database_url: str) -> None:
    broker = on_pgmq(database_url)
    publisher = broker.publisher()
    try:
        await publisher.revoke(broker.message().id)
    finally:
        await publisher.aclose()
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM pgmq.meta").fetchone() == (0,)


# -- reports ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def reporter(database_url: str) -> Broker:
    return broker_for("amqp://", database_url)


async def report_of(broker: Broker, **stored: Any) -> TaskReport:
    publisher = broker.publisher()
    task = broker.message().id
    try:
        if stored:
            await asyncio.to_thread(broker.application().backend.store_result, str(task), **stored)
        return await publisher.report(task)
    finally:
        await publisher.aclose()


async def test_a_task_that_no_worker_touched_is_pending(reporter: Broker) -> None:
    assert await report_of(reporter) == TaskReport(TaskState.PENDING)


@pytest.mark.parametrize("state", ["STARTED", "RETRY", "RECEIVED"])
async def test_a_task_at_work_is_pending(reporter: Broker, state: str) -> None:
    assert (await report_of(reporter, result=None, state=state)).state is TaskState.PENDING


@pytest.mark.parametrize("commit", [SHA, None])
async def test_success_names_commit_and_blob(reporter: Broker, commit: str | None) -> None:
    result = {
        "correlationId": "5e7f…",
        "commit": commit,
        "outputBlob": BLOB,
        "outputFile": "condenser_output.json",
        "unchanged": commit is None,
    }
    report = await report_of(reporter, result=result, state="SUCCESS")
    assert report == TaskReport(TaskState.SUCCEEDED, commit=commit, output_blob=BLOB)  # type: ignore[arg-type]  # a plain string, as it comes back


@pytest.mark.parametrize("result", [None, "done", ["a"], {"commit": 7}])
async def test_a_worker_that_returns_something_else_still_succeeded(reporter: Broker, result: Any) -> None:
    assert await report_of(reporter, result=result, state="SUCCESS") == TaskReport(TaskState.SUCCEEDED)


async def test_failure_tells_the_worker_s_own_words(reporter: Broker) -> None:
    report = await report_of(reporter, result=ValueError("расход воды отрицателен"), state="FAILURE")
    assert report == TaskReport(TaskState.FAILED, error="расход воды отрицателен")


async def test_failure_with_an_exception_that_only_the_worker_knows(reporter: Broker) -> None:
    class CondenserError(Exception):
        pass

    report = await report_of(reporter, result=CondenserError("no vacuum"), state="FAILURE")
    assert report.state is TaskState.FAILED
    assert report.error == "no vacuum"


async def test_a_revoked_task_is_revoked(reporter: Broker) -> None:
    assert (await report_of(reporter, result=None, state="REVOKED")).state is TaskState.REVOKED

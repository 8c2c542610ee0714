"""One trace from a request to the worker's task, across processes; and nothing in it that is nobody's business."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app.at_work import named_in_logs
from app.telemetry.spans import within
from app.telemetry.steps import ObservedPublisher, observed_steps
from app.telemetry.traces import open_traces
from sagas import trace
from sagas.engine import Engine
from sagas.errors import RetryableError
from sagas.ids import SagaId
from sagas.models import SagaStatus
from sagas.ports import TaskMessage
from sagas.steps.run import Tools
from tests.app.api import Api, saga_id
from tests.fakes import FakePublisher
from tests.support import eventually
from tests.telemetry.told import Told, id_of, parent_of, trace_of
from tests.world import ENGINEER, FAST, World

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"
START = """
    mutation Start($path: ID!, $branch: String!) {
      startBalanceCalculation(input: { projectPath: $path, branch: $branch }) { saga { id } userErrors { message } }
    }
"""
ADVANCE = """
    mutation Submit($saga: ID!, $values: JSON!) {
      advanceSaga(input: { sagaId: $saga, step: "AWAIT_USER_CONDENSER_INPUT", values: $values }) {
        saga { id } userErrors { message }
      }
    }
"""


class CarryingPublisher(FakePublisher):
    """Remembers the trace that each message carried on."""

    def __init__(self) -> None:
        super().__init__()
        self.carried: list[str | None] = []

    async def publish(self, message: TaskMessage) -> None:
        self.carried.append(trace.current.get())
        await super().publish(message)


async def started(api: Api, **headers: str) -> None:
    variables = {"path": "plant/unit", "branch": "issue/1-test"}
    response = await api.http.post(
        "/graphql",
        json={"query": START, "variables": variables},
        headers={"Authorization": "Bearer irina", **headers},
    )
    assert not response.json()["data"]["startBalanceCalculation"]["userErrors"]


async def test_a_request_s_trace_goes_on_through_the_saga_s_steps(api: Api, told: Told) -> None:
    await started(api, traceparent=CALLER)
    await eventually(lambda: told.named("step HYDRATE_CONDENSER"))
    request, mutation = told.one("POST /graphql"), told.one("mutation Start")
    check, hydrate = told.one("step CHECK_CONDENSER"), told.one("step HYDRATE_CONDENSER")
    assert [trace_of(span) for span in (request, mutation, check, hydrate)] == [TRACE] * 4
    assert parent_of(request) == "b7ad6b7169203331"
    assert parent_of(mutation) == id_of(request)
    assert parent_of(check) == parent_of(hydrate) == id_of(mutation)
    assert check.attributes is not None
    assert check.attributes["saga.step.outcome"] == "advanced"


async def test_another_process_goes_on_with_the_trace_and_the_task_carries_it(world: World, told: Told) -> None:
    """Each engine here knows of the request only what is in the row."""
    saga = await world.start()
    async with world.running():
        await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    before = trace.current.set(CALLER)
    await world.service.advance(ENGINEER, SagaId(saga.id), step="AWAIT_USER_CONDENSER_INPUT", values={"load": 5})
    trace.current.reset(before)
    publisher = CarryingPublisher()
    engine = observed_engine(world, told, publisher)
    async with at_work(engine):
        await world.published(saga.id, "condenser")
    published = told.one("publish test")
    assert trace_of(published) == trace_of(told.one("step COMMIT_CONDENSER_INPUT")) == TRACE
    assert parent_of(published) == id_of(told.one("step DISPATCH_CONDENSER"))
    assert publisher.carried == [f"00-{TRACE}-{id_of(published)}-01"]
    (message,) = publisher.published
    assert set(message.body()) == {"correlationId", "repoUrl", "branch", "commitHash", "input_files", "output_file"}


async def test_a_command_begins_a_new_trace_for_what_follows_from_it(api: Api, told: Told, world: World) -> None:
    await started(api, traceparent=CALLER)
    (row,) = await world.database.read(lambda c: c.fetch("SELECT id, traceparent FROM saga"))
    assert row["traceparent"] == f"00-{TRACE}-{id_of(told.one('mutation Start'))}-01"
    saga = await world.reaches(row["id"], "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    answer = await api.ask(ADVANCE, saga=saga_id(saga), values={"load": 5})
    assert not answer["advanceSaga"]["userErrors"]
    await world.published(saga.id, "condenser")
    submit, dispatch = told.one("mutation Submit"), told.one("step DISPATCH_CONDENSER")
    assert trace_of(dispatch) == trace_of(submit) != TRACE


async def test_attempts_after_the_first_are_traces_of_their_own_with_a_link(world: World, told: Told) -> None:
    before = trace.current.set(CALLER)
    try:
        saga = await world.start()
    finally:
        trace.current.reset(before)
    world.forge.fail_next("branch", RetryableError("GITLAB_UNAVAILABLE", "away"), times=2)
    engine = observed_engine(world, told, world.publisher)
    async with at_work(engine):
        await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT, timeout=20)
    first, *later = told.named("step CHECK_CONDENSER")
    assert trace_of(first) == TRACE
    assert len(later) >= 1
    for span in later:
        assert trace_of(span) != TRACE
        assert span.parent is None
        (link,) = span.links
        assert f"{link.context.trace_id:032x}" == TRACE
    assert first.attributes is not None
    assert (first.attributes["error.type"], first.status.is_ok) == ("GITLAB_UNAVAILABLE", False)


async def test_neither_traces_nor_metrics_tell_what_was_said(api: Api, told: Told, world: World) -> None:
    query = ADVANCE.replace('"AWAIT_USER_CONDENSER_INPUT"', '"said-in-a-literal"')
    await started(api)
    (row,) = await world.database.read(lambda c: c.fetch("SELECT id FROM saga"))
    saga = await world.reaches(row["id"], "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    await api.post(query, saga=saga_id(saga), values={"load": 5})
    await api.ask(ADVANCE, saga=saga_id(saga), values={"load": 987.125})
    await api.http.get(
        "/graphql", params={"query": "{ viewer { username } }", "variables": '{"said": "in-the-address"}'}
    )
    await api.http.get("/said-in-a-path/secret")
    await world.published(saga.id, "condenser")
    await eventually(lambda: told.named("step DISPATCH_CONDENSER"))
    everything = "\n".join(span.to_json() for span in told.spans) + told.text
    for said in (
        "987.125",
        "irina",
        "Irina",
        "said-in",
        "issue/1-test",
        "plant/unit",
        "in-the-address",
        "condenser_input",
    ):
        assert said not in everything
    assert "graphql.document.hash" in everything


@pytest.mark.parametrize("given", ["", "nonsense", "00-0-0-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "ы" * 9])
async def test_a_traceparent_that_is_none_begins_a_new_trace(api: Api, told: Told, given: str) -> None:
    response = await api.http.get("/favicon.ico", headers={b"traceparent": given.encode()})
    assert response.status_code == 200
    span = told.one("GET /favicon.ico")
    assert span.parent is None
    assert int(trace_of(span), 16)


async def test_probes_make_no_traces_and_are_counted_all_the_same(api: Api, told: Told) -> None:
    await api.http.get("/healthz", headers={"traceparent": CALLER})
    assert told.spans == ()
    assert told.value("orchestrator_http_requests_total", method="GET", route="/healthz", status="200") == 1


def test_a_caller_cannot_have_more_recorded_than_the_ratio_says() -> None:
    with collector() as (url, got):
        tracer = open_traces(url, ratio=0.0, version="test")
        span = tracer.begin("x", parent=CALLER)
        assert span.traceparent is not None
        assert span.traceparent.startswith(f"00-{TRACE}-"), "the trace goes on all the same"
        assert span.traceparent.endswith("-00")
        span.end()
        tracer.close()
    assert not got


def test_a_caller_may_say_that_his_trace_is_not_recorded() -> None:
    with collector() as (url, got):
        tracer = open_traces(url, ratio=1.0, version="test")
        tracer.begin("x", parent=CALLER.removesuffix("01") + "00").end()
        tracer.close()
    assert not got


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """An OTLP/HTTP collector that keeps what it gets."""
    got: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_spans_reach_a_collector_before_the_process_ends() -> None:
    with collector() as (url, got):
        tracer = open_traces(url, ratio=1.0, version="1.2.3")
        with within(tracer.begin("step X", parent=CALLER, linked_to=CALLER)):
            pass
        tracer.close()
    (resource,) = [resource for request in got for resource in request.resource_spans]
    told = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
    assert (told["service.name"], told["service.version"]) == ("balance-orchestrator", "1.2.3")
    (span,) = resource.scope_spans[0].spans
    assert (span.name, span.trace_id.hex(), span.links[0].trace_id.hex()) == ("step X", TRACE, TRACE)


@asynccontextmanager
async def at_work(engine: Engine) -> AsyncIterator[None]:
    task = asyncio.create_task(engine.run())
    try:
        yield
    finally:
        engine.stop()
        await task


def observed_engine(world: World, told: Told, publisher: FakePublisher) -> Engine:
    return Engine(
        Tools(world.forge, ObservedPublisher(publisher, told.telemetry), world.database),
        world.definitions,
        world.announcer,
        settings=FAST,
        attempting=observed_steps(told.telemetry, around=named_in_logs),
    )

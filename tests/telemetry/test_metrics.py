"""What is counted, and that no label grows with what clients send."""

import asyncio
from typing import Any

import httpx
import pytest

from app.telemetry.gitlab_calls import ObservedGitLab
from app.telemetry.http import ObservedHttp
from app.telemetry.names import MOST_NAMES, OperationNames
from app.telemetry.routes import route_of
from app.telemetry.spans import within
from gitlab_facade import GitLabFacade
from sagas.errors import RetryableError, TerminalError
from sagas.ids import ProjectId
from sagas.models import SagaStatus
from tests.app.api import Api, saga_id
from tests.app.listening import listening
from tests.facade.scripted_server import Reply, ScriptedServer, refused_url
from tests.support import eventually
from tests.telemetry.told import Told, id_of, parent_of
from tests.world import World

WATCH = "subscription Watch($saga: ID!) { sagaEvents(sagaId: $saga, afterVersion: 0) { version } }"


async def test_operations_are_counted_by_name_and_outcome(api: Api, told: Told) -> None:
    await api.ask("query Me { viewer { username } }")
    await api.post("query Me { viewer { username } }", token=None)
    await api.post("query Broken { nothing }")
    await api.post("{ viewer ")
    await api.ask("{ viewer { username } }")
    assert told.value("orchestrator_operations_total", type="query", operation="Me", outcome="ok") == 1
    assert told.value("orchestrator_operations_total", type="query", operation="Me", outcome="errors") == 1
    assert told.value("orchestrator_operations_total", type="query", operation="other", outcome="refused") == 1
    assert told.value("orchestrator_operations_total", type="invalid", operation="unnamed", outcome="refused") == 1
    assert told.value("orchestrator_operations_total", type="query", operation="unnamed", outcome="ok") == 1
    assert told.value("orchestrator_operation_errors_total", code="UNAUTHENTICATED") == 1
    assert told.value("orchestrator_operation_errors_total", code="GRAPHQL_VALIDATION_FAILED") == 1
    assert told.value("orchestrator_operation_errors_total", code="GRAPHQL_PARSE_FAILED") == 1
    assert told.value("orchestrator_operation_duration_seconds_count", type="query", operation="Me") == 2
    assert "_created" not in told.text
    assert told.value("orchestrator_http_requests_total", method="POST", route="/graphql", status="200") == 5


async def test_a_stranger_cannot_fill_the_list_of_names(api: Api, told: Told) -> None:
    for number in range(3):
        await api.post(f"query Strange{number} {{ viewer {{ username }} }}", token=None)
        await api.post(f"query Wrong{number} {{ nothing }}")
    assert "Strange" not in told.text
    assert "Wrong" not in told.text


def test_names_are_told_apart_up_to_a_limit_and_by_their_shape() -> None:
    names = OperationNames()
    shown = {names.shown(f"Operation{number}", trusted=True) for number in range(10 * MOST_NAMES)}
    assert len(shown) == MOST_NAMES + 1
    assert "other" in shown
    assert names.shown("Operation0", trusted=False) == "Operation0"
    assert OperationNames().shown("x" * 61, trusted=True) == "other"
    assert OperationNames().shown(None, trusted=True) == "unnamed"


@pytest.mark.parametrize("path", ["/nowhere", "/static/../../secret", f"/{'a' * 500}"])
async def test_addresses_that_are_no_route_share_a_label(api: Api, told: Told, path: str) -> None:
    await api.http.get(path)
    await api.http.request("BREW", path)
    routes = {line.split('route="')[1].split('"')[0] for line in told.text.splitlines() if 'route="' in line}
    assert routes == {"other"}
    assert "BREW" not in told.text


async def test_a_request_that_is_cut_off_is_no_fault_of_ours(told: Told) -> None:
    async def cut_off(*_: object) -> None:
        raise asyncio.CancelledError

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    for app, failure in ((cut_off, asyncio.CancelledError), (broken, ZeroDivisionError)):
        with pytest.raises(failure):
            await ObservedHttp(app, telemetry=told.telemetry)(dict(scope), never, never)
    assert told.value("orchestrator_http_requests_total", method="GET", route="other", status="lost") == 1
    assert told.value("orchestrator_http_requests_total", method="GET", route="other", status="500") == 1


async def never(*_: object) -> Any:
    raise AssertionError("nobody reads or answers")


async def test_websockets_and_subscriptions_are_counted_while_they_live(api: Api, told: Told, world: World) -> None:
    saga = await world.start()
    async with listening(api.app) as listener:
        async with listener.client() as peer:
            await peer.subscribe(WATCH, saga=saga_id(saga))
            await peer.next()
            assert told.value("orchestrator_websockets") == 1
            await peer.subscribe(WATCH, name="2", saga=saga_id(saga))
            await eventually(lambda: told.value("orchestrator_websocket_operations") == 2)
            assert told.value("orchestrator_subscriptions", field="sagaEvents") == 1
        await eventually(lambda: told.value("orchestrator_websockets") == 0)
        await eventually(lambda: told.value("orchestrator_subscriptions", field="sagaEvents") == 0)
    span = told.one("subscription Watch")
    assert span.attributes is not None
    assert span.attributes["graphql.operation.type"] == "subscription"


@pytest.mark.parametrize("accept", ["text/event-stream", "multipart/mixed;boundary=graphql;subscriptionSpec=1.0"])
async def test_an_answer_that_goes_on_is_told_when_it_begins(api: Api, told: Told, world: World, accept: str) -> None:
    saga = await world.start()
    asked = {"query": WATCH, "variables": {"saga": saga_id(saga)}}
    headers = {"Accept": accept, "Authorization": "Bearer irina"}
    route = {"method": "POST", "route": "/graphql", "status": "200"}
    async with listening(api.app) as listener, httpx.AsyncClient(trust_env=False, timeout=30) as http:
        url = f"http://127.0.0.1:{listener.port}/graphql"
        async with http.stream("POST", url, headers=headers, json=asked) as response:
            assert await anext(response.aiter_lines()) is not None
            assert told.value("orchestrator_event_streams") == 1
            assert told.value("orchestrator_http_requests_total", **route) == 1
            assert told.one("POST /graphql").end_time is not None
        await eventually(lambda: told.value("orchestrator_event_streams") == 0)
    assert told.value("orchestrator_http_requests_total", **route) == 1
    assert told.one("POST /graphql").status.is_ok


async def test_steps_and_their_errors_are_counted_by_code(api: Api, told: Told, world: World) -> None:
    world.forge.fail_next("create_commit", RetryableError("GITLAB_UNAVAILABLE", "away"))
    saga = await world.start()
    await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    step = {"definition": "balance", "state": "HYDRATE_CONDENSER"}
    assert told.value("orchestrator_steps_total", **step, outcome="retried") == 1
    assert told.value("orchestrator_steps_total", **step, outcome="advanced") == 1
    assert told.value("orchestrator_step_errors_total", code="GITLAB_UNAVAILABLE", retried="yes") == 1
    world.forge.fail_next("create_commit", TerminalError("GITLAB_REJECTED", "no"))
    await world.give(saga.id, "condenser")
    await world.is_now(saga.id, SagaStatus.FAILED)
    assert told.value("orchestrator_step_errors_total", code="GITLAB_REJECTED", retried="no") == 1
    assert told.value("orchestrator_step_duration_seconds_count", state="HYDRATE_CONDENSER") == 2


async def test_a_task_that_the_broker_did_not_take_is_counted_too(api: Api, told: Told, world: World) -> None:
    world.publisher.fail_next("publish", RetryableError("BROKER_UNAVAILABLE", "away"))
    saga = await world.start()
    await world.give(saga.id, "condenser")
    await world.published(saga.id, "condenser")
    assert told.value("orchestrator_tasks_published_total", queue="test", outcome="BROKER_UNAVAILABLE") == 1
    assert told.value("orchestrator_tasks_published_total", queue="test", outcome="ok") == 1
    assert told.value("orchestrator_step_errors_total", code="BROKER_UNAVAILABLE", retried="yes") == 1


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/v4/projects/7/repository/files/a%2Fb.json?ref=issue%2F1", "/projects/:x/repository/files/:x"),
        ("/api/v4/projects/plant%2Funit", "/projects/:x"),
        ("/gitlab/api/v4/projects/7/repository/branches/issue%2F1", "/projects/:x/repository/branches/:x"),
        ("/api/v4/projects/7/members/all/9", "/projects/:x/members/all/:x"),
        ("https://git.example.com/api/v4/user", "/user"),
        ("https://git.example.com/oauth/token/info", "/oauth/token/info"),
        ("/somewhere/else", "other"),
        ("/api/v4/" + "projects/" * 20, "other"),
    ],
)
def test_gitlab_s_addresses_are_told_by_route(path: str, route: str) -> None:
    assert route_of(path) == route


async def test_requests_to_gitlab_are_counted_by_route_and_status(told: Told) -> None:
    with ScriptedServer().running() as server:
        facade = GitLabFacade(server.url, "service-token", timeout=(3, 30), watch=ObservedGitLab(told.telemetry))
        server.will(*[Reply(404, {"message": "404 Branch Not Found"})] * 2)
        with within(told.telemetry.tracer.begin("a step")):
            assert await facade.branch(ProjectId(7), "issue/1") is None
        assert await facade.branch(ProjectId(7), "issue/1") is None
        await facade.aclose()
    route = {"method": "GET", "route": "/projects/:x/repository/branches/:x"}
    assert told.value("orchestrator_gitlab_requests_total", **route, status="404") == 2
    assert told.value("orchestrator_gitlab_request_duration_seconds_count", **route) == 2
    span = told.one("GET /projects/:x/repository/branches/:x")  # the request that belongs to no trace has none
    assert parent_of(span) == id_of(told.one("a step"))
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 404


async def test_a_request_that_gitlab_never_answered_is_counted_as_lost(told: Told) -> None:
    facade = GitLabFacade(refused_url(), "service-token", timeout=(1, 1), watch=ObservedGitLab(told.telemetry))
    with pytest.raises(RetryableError), within(told.telemetry.tracer.begin("a step")):
        await facade.version()
    await asyncio.wait_for(facade.aclose(), 10)
    assert told.value("orchestrator_gitlab_requests_total", method="GET", route="/version", status="lost") == 1
    assert not told.one("GET /version").status.is_ok

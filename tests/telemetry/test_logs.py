"""Every line tells whose work it is: the request, the saga, the trace; also from the threads that work is handed to."""

import json
import logging
from collections.abc import Iterator

import httpx
import pytest

from app import health
from app.logs import JsonFormatter, TextFormatter, bound
from gitlab_facade import GitLabFacade
from sagas.models import SagaStatus
from tests.app.api import Api
from tests.facade.scripted_server import Reply, ScriptedServer
from tests.telemetry.told import Told
from tests.world import World


class Lines(logging.Handler):
    """What a collector would get."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(JsonFormatter())
        self.entries: list[dict[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.entries.append(json.loads(self.format(record)))

    def about(self, words: str) -> dict[str, str]:
        return next(entry for entry in self.entries if words in entry["message"])


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler, root = Lines(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


async def test_a_step_s_lines_name_its_saga_and_its_trace(api: Api, told: Told, world: World, lines: Lines) -> None:
    world.forge.on_next("create_commit", lambda: logging.getLogger("elsewhere").warning("deep within the step"))
    saga = await world.start()
    await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    entry = lines.about("deep within")
    assert (entry["saga_id"], entry["step"]) == (str(saga.id), "HYDRATE_CONDENSER/1")
    assert int(entry["trace_id"], 16)


async def test_a_broken_step_s_line_does_so_too(api: Api, world: World, lines: Lines) -> None:
    world.forge.fail_next("create_commit", ZeroDivisionError("a fault of ours"))
    saga = await world.start()
    await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT, timeout=20)
    assert lines.about("broke")["saga_id"] == str(saga.id)


async def test_a_request_s_lines_and_its_answer_carry_one_id(api: Api, world: World, lines: Lines) -> None:
    world.forge.fail_next("project", ZeroDivisionError("a fault of ours"))
    response = await api.http.post(
        "/graphql",
        json={"query": '{ geometries(projectPath: "plant/unit") { name } }'},
        headers={"Authorization": "Bearer irina", "X-Request-Id": "from-the-proxy.1"},
    )
    assert response.json()["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert response.headers["X-Request-Id"] == "from-the-proxy.1"
    assert lines.about("internal error")["request_id"] == "from-the-proxy.1"


async def test_what_breaks_outside_of_graphql_has_it_too(
    api: Api, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(health, "readiness", broken)
    transport = httpx.ASGITransport(app=api.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestrator.test") as http:
        response = await http.get("/readyz", headers={"X-Request-Id": "from-the-proxy.2"})
    assert response.status_code == 500
    assert response.headers["X-Request-Id"] == "from-the-proxy.2"
    assert lines.about("internal error")["request_id"] == "from-the-proxy.2"


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "line\tbreak", "Ünlawful"])
async def test_a_request_id_of_another_shape_is_replaced(api: Api, given: str) -> None:
    answer = await api.http.get("/healthz", headers={b"X-Request-Id": given.encode("latin-1")})
    assert answer.headers["X-Request-Id"] not in {"", given}
    other = await api.http.get("/healthz")
    assert other.headers["X-Request-Id"] != answer.headers["X-Request-Id"]


async def test_threads_know_whose_work_they_do(lines: Lines) -> None:
    with ScriptedServer().running() as server:
        facade = GitLabFacade(server.url, "service-token", timeout=(3, 30))
        server.otherwise = lambda _: Reply(200, {"version": "19.3.0"})
        with bound(saga_id="one"):
            await facade._pool.run(lambda _: logging.getLogger("elsewhere").warning("in a thread"))
        await facade._pool.run(lambda _: logging.getLogger("elsewhere").warning("afterwards"))
        await facade.aclose()
    assert lines.about("in a thread")["saga_id"] == "one"
    assert "saga_id" not in lines.about("afterwards")


def test_lines_for_people_carry_the_same() -> None:
    record = logging.LogRecord("app", logging.INFO, __file__, 1, "said", (), None)
    with bound(saga_id="one"):
        assert TextFormatter().format(record).endswith("said saga_id=one")
    assert TextFormatter().format(record).endswith("said")

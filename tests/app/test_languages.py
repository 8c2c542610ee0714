"""English or Russian as the client asks: by header, and per websocket by header or first message. Codes never change."""

import re
from typing import Any

import httpx
import pytest

from app.identity import language_of, language_of_init
from sagas.errors import RetryableError, TerminalError
from sagas.models import SagaStatus
from sagas.texts import say
from tests.app.api import Api, saga_id
from tests.app.listening import listening
from tests.app.test_mutations import ADVANCE
from tests.support import eventually

RUSSIAN = {"Authorization": "Bearer irina", "Accept-Language": "ru-RU,ru;q=0.9,en;q=0.5"}
CYRILLIC = re.compile("[а-яё]")
ERROR = """query ($id: ID!) { saga(id: $id) { error { code message } waitingFor steps { error { message } }
  events(last: 1) { edges { node { type data } } } } }"""
EVENTS = "subscription ($saga: ID!) { sagaEvents(sagaId: $saga) { type data } }"


async def ask(api: Api, query: str, headers: dict[str, str] = RUSSIAN, **variables: Any) -> dict[str, Any]:
    response = await api.http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("ru", "ru"),
        ("ru-RU,ru;q=0.9,en-US;q=0.8", "ru"),
        ("RU", "ru"),
        ("en, ru;q=0.9", "en"),
        ("en;q=0.5, ru;q=0.7", "ru"),
        ("de-DE, ru;q=0.1", "ru"),
        ("de, fr", "en"),
        ("rum, run", "en"),
        ("ru;q=0", "en"),
        ("ru;q=x, en;q=0.9", "ru"),
        (",;q=,,", "en"),
        ("*", "en"),
    ],
)
def test_the_language_is_the_one_of_ours_that_the_client_likes_best(header: str | None, language: str) -> None:
    assert language_of(header) == language


def test_the_first_message_of_a_websocket_may_name_a_language() -> None:
    assert language_of_init({"Accept-Language": "ru, en;q=0.5"}) == "ru"
    assert language_of_init({"language": "en"}) == "en"
    assert language_of_init({"language": 5}) is None
    assert language_of_init({}) is None


async def test_what_is_refused_is_told_in_the_clients_language_with_the_same_code_and_field(api: Api) -> None:
    row = await api.world.start()
    await api.world.reaches(row.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    given = {"sagaId": saga_id(row), "step": "AWAIT_USER_CONDENSER_INPUT", "values": {"load": "much", "laod": 1}}
    english = (await api.ask(ADVANCE, input=given))["advanceSaga"]["userErrors"]
    russian = (await ask(api, ADVANCE, input=given))["data"]["advanceSaga"]["userErrors"]
    assert len(english) == 2
    assert [(error["code"], error["field"]) for error in english] == [(e["code"], e["field"]) for e in russian]
    assert not any(CYRILLIC.search(error["message"]) for error in english)
    assert {error["message"] for error in russian} == {
        'Свойство "laod" неизвестно. Может быть, load?',
        'load: нужно — число от 0 до 1000; сейчас — "much".',
    }


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ sagas(first: 0) { totalCount } }", "BAD_USER_INPUT"),
        ('{ saga(id: "x") { id } }', "BAD_USER_INPUT"),
        ('{ geometries(projectPath: "no/such") { key } }', "NOT_FOUND"),
        ("{" + "viewer{id}" * 200 + "}", "LIMIT_EXCEEDED"),
    ],
)
async def test_errors_of_queries_are_told_in_the_clients_language_whoever_asked_before(
    api: Api, query: str, code: str
) -> None:
    for headers, is_russian in ((RUSSIAN, True), ({"Authorization": "Bearer irina"}, False), (RUSSIAN, True)):
        (error,) = (await ask(api, query, headers))["errors"]
        assert error["extensions"]["code"] == code
        assert bool(CYRILLIC.search(error["message"])) is is_russian, error["message"]


async def test_an_unknown_token_is_told_in_the_clients_language(api: Api) -> None:
    (error,) = (await ask(api, "{ viewer { id } }", {"Accept-Language": "ru", "Authorization": "Basic x"}))["errors"]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    assert error["message"] == "Заголовок `Authorization` должен быть вида `Bearer <token>`."


async def test_a_sagas_error_reads_in_either_language_after_it_was_stored(api: Api) -> None:
    away = RetryableError("GITLAB_UNAVAILABLE", say("GitLab answers {status}: {text}", status=502, text="Bad Gateway"))
    api.world.forge.fail_next("create_commit", away, times=50)
    row = await api.world.start()

    async def stuck() -> Any:
        saga = (await api.ask(ERROR, id=saga_id(row)))["saga"]
        return saga if saga["error"] else None

    english = await eventually(stuck, what="the step fails")
    russian = (await ask(api, ERROR, id=saga_id(row)))["data"]["saga"]
    assert (english["error"]["code"], russian["error"]["code"]) == ("GITLAB_UNAVAILABLE", "GITLAB_UNAVAILABLE")
    assert english["error"]["message"] == "GitLab answers 502: Bad Gateway"
    assert russian["error"]["message"] == "GitLab отвечает 502: Bad Gateway"
    assert "GitLab отвечает 502: Bad Gateway" in [s["error"]["message"] for s in russian["steps"] if s["error"]]
    (event,) = russian["events"]["edges"]
    assert event["node"]["data"]["message"] == "GitLab отвечает 502: Bad Gateway"
    assert set(event["node"]["data"]) == {"code", "message", "attempt", "retryInSeconds"}


async def test_each_websocket_has_its_language_also_where_executions_are_shared(api: Api) -> None:
    broken = TerminalError("BRANCH_DELETED", say("There is no branch {source!r} in the project.", source="x"))
    api.world.forge.fail_next("create_commit", broken)
    row = await api.world.start()
    async with listening(api.app) as server, server.client() as english, server.socket() as russian:
        payload = {"Authorization": "Bearer irina", "Accept-Language": "ru"}
        await russian.send({"type": "connection_init", "payload": payload})
        assert await russian.receive() == {"type": "connection_ack"}
        told = {}
        for peer in (english, russian):
            await peer.subscribe(EVENTS, saga=saga_id(row))
            event: dict[str, Any] = {"type": ""}
            while event["type"] != "FAILED":
                event = (await peer.next())["sagaEvents"]
            told[peer] = event["data"]
        assert told[english] == {"code": "BRANCH_DELETED", "message": "There is no branch 'x' in the project."}
        assert told[russian] == {"code": "BRANCH_DELETED", "message": "В проекте нет ветки 'x'."}
        await russian.subscribe("{ sagas(first: 0) { totalCount } }", name="2")
        message = await russian.receive()
        assert CYRILLIC.search(str(message["payload"]))


async def test_the_rest_route_refuses_in_the_clients_language(api: Api) -> None:
    body = {"projectPath": "no/such", "branch": "x"}
    response = await api.http.post("/saga/calculate-balance", json=body, headers=RUSSIAN)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (404, "NOT_FOUND")
    assert problem["detail"] == problem["errors"][0]["detail"] == "Не найдено (проект), или у вас нет доступа."


POST = ("POST", "/graphql")
REST = ("POST", "/saga/calculate-balance")
NO_REQUESTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (*POST, {"content": "{}", "headers": {"Content-Type": "text/plain"}}),
    (*POST, {"content": "{", "headers": {"Content-Type": "application/json"}}),
    (*POST, {"json": 5}),
    (*POST, {"json": [{"query": "{ viewer { id } }"}]}),
    (*POST, {"json": {}}),
    (*POST, {"json": {"query": 5}}),
    (*POST, {"json": {"query": "{ viewer { id } }", "variables": []}}),
    (*POST, {"json": {"query": "{ viewer { id } }", "extensions": 5}}),
    (*POST, {"json": {"query": "{ viewer { id } }", "operationName": 5}}),
    (*POST, {"json": {"query": "{ viewer { id } }", "operationName": "Other"}}),
    (*POST, {"json": {"query": EVENTS, "variables": {"saga": "x"}}}),
    (*POST, {"json": {"documentId": "x"}}),
    ("GET", "/graphql?query=mutation{__typename}", {}),
    ("GET", "/graphql?query={__typename}", {"headers": {"Accept": "text/event-stream"}}),
    ("PUT", "/graphql", {}),
    ("GET", "/nowhere", {}),
    ("PUT", "/saga/calculate-balance", {}),
    (*REST, {"content": "{", "headers": {"Content-Type": "application/json"}}),
    (*REST, {"json": []}),
    (*REST, {"json": {"projectPath": "", "issueIid": "1", "color": "red"}}),
    (*REST, {"json": {"branch": 5}}),
)


@pytest.mark.parametrize(("method", "path", "sent"), NO_REQUESTS)
async def test_what_is_no_request_at_all_is_refused_in_the_clients_language(
    api: Api, method: str, path: str, sent: dict[str, Any]
) -> None:
    told = {}
    for language in ("en", "ru"):
        headers = {"Authorization": "Bearer irina", **sent.get("headers", {}), "Accept-Language": language}
        response = await api.http.request(method, path, **{**sent, "headers": headers})
        answer = response.json()
        told[language] = (
            [error["message"] for error in answer["errors"]]
            if path.startswith("/graphql")
            else [answer["detail"], *(error["detail"] for error in answer.get("errors", ()))]
        )
        assert response.status_code < 500
    assert not any(CYRILLIC.search(message) for message in told["en"]), told
    assert told["ru"]
    assert all(CYRILLIC.search(message) for message in told["ru"]), told


async def test_a_fault_of_ours_is_told_in_the_clients_language(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise AssertionError("a fault of ours")

    monkeypatch.setattr(type(api.services.sagas), "start_balance", broken)
    transport = httpx.ASGITransport(app=api.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestrator.test") as http:
        response = await http.post("/saga/calculate-balance", json={"projectPath": "x"}, headers=RUSSIAN)
    assert response.status_code == 500
    assert response.json()["detail"].startswith("Внутри сервиса что-то пошло не так")


async def test_what_a_cancellation_would_undo_is_told_in_the_clients_language(api: Api) -> None:
    row = await api.world.start()
    await api.world.reaches(row.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    query = "query ($id: ID!) { saga(id: $id) { undoPreview { description } } }"
    preview = (await ask(api, query, id=saga_id(row)))["data"]["saga"]["undoPreview"]
    assert [item["description"] for item in preview] == ["Удалить condenser_input.json"]

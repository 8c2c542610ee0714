"""No token is ever written down: not in the log at DEBUG, an answer, the database, a task, a commit or a merge request."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.facade.scripted_server import Reply, ScriptedServer
from tests.identity import gateway
from tests.security.plants import Plant, bare, new_plant
from tests.security.service import WEBHOOK_SECRET, LiveService, bearer, live_service
from tests.support import eventually_sync
from tests.support_emulator import Emulator, EmulatorUser

pytestmark = [pytest.mark.xdist_group("live service"), pytest.mark.timeout(300)]

_STATE = "query ($id: ID!) { saga(id: $id) { state status error { message } events(first: 100) { edges { node { data } } } } }"
_GEOMETRIES = "query ($path: ID!) { geometries(projectPath: $path) { key } }"
_CANCEL = "mutation ($input: CancelSagaInput!) { cancelSaga(input: $input) { userErrors { code message } } }"


def test_gitlabs_tokens_are_written_nowhere(service: LiveService) -> None:
    plant = new_plant(service, "okapi")
    told = whole_life(service, plant)
    found = places_of(known_secrets(service, plant), service, plant, told)
    assert found == []


def test_a_gateways_tokens_are_written_nowhere(database_url: str, emulator: Emulator, tmp_path: Path) -> None:
    """Traces and metrics are on here."""
    metrics_token = "the-collector-s-own-token"
    with gateway.key_server(gateway.published(gateway.KEY, "k1")) as keys, ScriptedServer().running() as collector:
        collector.otherwise = lambda _: Reply(200, {})
        settings = {
            "AUTH": "jwt",
            "JWT_ISSUER": gateway.ISSUER,
            "JWT_AUDIENCE": gateway.AUDIENCE,
            "JWT_JWKS_URL": f"{keys.url}/keys",
            "TRACES_URL": f"{collector.url}/v1/traces",
            "METRICS_TOKEN": metrics_token,
            "LOG_FORMAT": "json",
        }
        with live_service(database_url, emulator, tmp_path, settings) as service:
            plant = new_plant(service, "lynx", token_of=_token_of_the_gateway)
            told = whole_life(service, plant)
            told.append(service.http.get("/metrics", headers=bearer(metrics_token)).text)
            assert "orchestrator" in told[-1]
            # A part of a token is enough: whoever has the signature has seen the rest.
            parts = [part for token in plant.tokens.values() for part in token.split(".")[1:]]
            words = [*known_secrets(service, plant), *parts, metrics_token]
            assert places_of(words, service, plant, told) == []
        traces = b"".join(request.body for request in collector.requests).decode("latin-1")
        assert "/graphql" in traces
        assert [word for word in words if word in traces] == []
        assert not [request for request in keys.requests if "uthorization" in str(request.headers)]


def test_the_search_finds_what_is_there(service: LiveService) -> None:
    plant = new_plant(service, "ibex")
    assert "database" in {place for place, _ in places_of([plant.target.path], service, plant, [])}
    assert "git" in {place for place, _ in places_of([bare(plant.target.busy)], service, plant, [])}
    assert places_of(["walrus"], service, plant, ["a walrus"]) == [("answer 0", "walrus")]


def _token_of_the_gateway(person: EmulatorUser) -> str:
    return gateway.token(sub=str(person.id))


def whole_life(service: LiveService, plant: Plant) -> list[str]:
    """A saga from its form over a result to its undoing, with GitLab in trouble and forged credentials on the way.

    Returns what clients were told.
    """
    gitlab, developer, saga = service.gitlab, plant.tokens["developer"], plant.target.busy
    told = [json.dumps(service.post("{ viewer { username } }", token)) for token in forged(plant)]
    told += [_refused_socket(service, token) for token in forged(plant)]
    protocols = [Subprotocol("graphql-transport-ws")]
    with connect(service.socket_url, subprotocols=protocols, additional_headers=bearer(developer)) as socket:
        socket.send(json.dumps({"type": "connection_init", "payload": bearer(developer)}))
        told.append(str(socket.recv(timeout=30)))
        query = {"query": "subscription ($id: ID!) { sagaUpdated(sagaId: $id) { state } }", "variables": {"id": saga}}
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": query}))
        told.append(str(socket.recv(timeout=30)))
        socket.send(b"\x00")
    task = bare(plant.target.task)
    gitlab.commit(
        plant.project.id,
        plant.target.branch,
        {"condenser_output.json": "{}\n"},
        message=f"Calculate\n\nCorrelation-Id: {task}",
    )
    told.append(_pushed(service, plant))
    eventually_sync(lambda: _state(service, plant) != "AWAIT_CONDENSER_RESULT", timeout=60, what="the result is taken")
    with _trouble(gitlab):
        cancel = {"sagaId": saga, "reason": "wrong plant"}
        told.append(json.dumps(service.post(_CANCEL, developer, input=cancel)))
        told.append(json.dumps(service.post(_GEOMETRIES, developer, path=plant.target.path)))
        told.append(service.http.get("/readyz").text)
        time.sleep(0.5)
    told.append(json.dumps(service.post(_CANCEL, developer, input={"sagaId": saga, "reason": "wrong plant"})))
    eventually_sync(lambda: _status(service, plant) == "CANCELLED", timeout=90, what="all is undone")
    told.append(json.dumps(service.post(_STATE, developer, id=saga)))
    told.append(service.http.get("/readyz").text)
    return told


def forged(plant: Plant) -> list[str]:
    """Credentials that are not accepted, but made from such that are."""
    good = plant.tokens["developer"]
    return [good + "x", good[:-1], good.swapcase()]


def known_secrets(service: LiveService, plant: Plant) -> list[str]:
    """Whatever must stay where it came from."""
    password = urlsplit(service.database_url).password
    assert password is not None
    return [*plant.tokens.values(), *forged(plant), service.user.token, WEBHOOK_SECRET, password]


def places_of(words: list[str], service: LiveService, plant: Plant, told: list[str]) -> list[tuple[str, str]]:
    """Where any of the words stands."""
    commits = service.gitlab.api(
        "GET", f"/projects/{plant.project.id}/repository/commits?all=true&per_page=100&trailers=true"
    )
    merge_requests = service.gitlab.api("GET", f"/projects/{plant.project.id}/merge_requests")
    places = {f"answer {number}": text for number, text in enumerate(told)}
    places |= {"log": service.logged(), "database": whole_database(service)}
    places |= {"git": json.dumps(commits), "merge requests": json.dumps(merge_requests)}
    return [(place, word[:60]) for place, text in places.items() for word in words if word in text]


def whole_database(service: LiveService) -> str:
    """Every row of every table, the queues' included."""
    tables = service.rows(
        "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables "
        "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    assert len(tables) > 8
    rows = [row for (table,) in tables for row in service.rows(f"SELECT t::text FROM {table} AS t")]
    return "\n".join(str(row[0]) for row in rows)


@contextmanager
def _trouble(gitlab: Emulator) -> Iterator[None]:
    """GitLab answers nonsense, errors, or nothing."""
    for path in ("/members/all", "/repository/branches", "/version", "/user"):
        gitlab.faults(method="GET", path=path, drop="before", times=2)
        gitlab.faults(method="GET", path=path, status=500, times=2)
    try:
        yield
    finally:
        gitlab.clear_faults()


def _refused_socket(service: LiveService, token: str) -> str:
    with connect(service.socket_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        socket.send(json.dumps({"type": "connection_init", "payload": bearer(token)}))
        with pytest.raises(ConnectionClosed) as refused:
            socket.recv(timeout=30)
    assert refused.value.rcvd is not None
    assert refused.value.rcvd.code == 4403
    return str(refused.value)


def _pushed(service: LiveService, plant: Plant) -> str:
    push = {
        "object_kind": "push",
        "ref": f"refs/heads/{plant.target.branch}",
        "before": "0" * 40,
        "after": secrets.token_hex(20),
        "project_id": plant.project.id,
    }
    told = service.http.post("/webhooks/gitlab", json=push, headers={"X-Gitlab-Token": WEBHOOK_SECRET})
    forgery = service.http.post("/webhooks/gitlab", json=push, headers={"X-Gitlab-Token": WEBHOOK_SECRET[:-1]})
    assert (told.status_code, forgery.status_code) == (200, 401)
    return told.text + forgery.text


def _state(service: LiveService, plant: Plant) -> str:
    return str(service.ask(_STATE, plant.tokens["developer"], id=plant.target.busy)["saga"]["state"])


def _status(service: LiveService, plant: Plant) -> str:
    return str(service.ask(_STATE, plant.tokens["developer"], id=plant.target.busy)["saga"]["status"])

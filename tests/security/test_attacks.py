"""What was tried by hand against the running service, kept."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.security.fuzzing import FAULTS
from tests.security.operations import QUERIES
from tests.security.plants import Plant, new_plant
from tests.security.service import LiveService, bearer

pytestmark = [pytest.mark.xdist_group("live service"), pytest.mark.timeout(300)]

ELSEWHERE = (
    "../../users",
    "a/../../users",
    "root/..",
    "root/%2e%2e/%2e%2e/users",
    "root/x?private_token=y",
    "root/x#",
    "root/x/repository/files",
    "http://127.0.0.1:1/x",
    "//127.0.0.1:1/x",
    "root/x\r\nHost: evil",
    "root\\..\\x",
    ".",
    "..",
    "./..",
)
GEOMETRIES = "query ($path: ID!, $ref: String) { geometries(projectPath: $path, ref: $ref) { key } }"
START = """mutation ($input: StartBalanceCalculationInput!) { startBalanceCalculation(input: $input) {
  saga { id } userErrors { code field } } }"""


@pytest.fixture(scope="module")
def plant(service: LiveService) -> Plant:
    return new_plant(service, "civet")


@pytest.fixture(autouse=True)
def nothing_breaks(service: LiveService) -> Iterator[None]:
    """An attack that is stopped is no fault of ours, and is logged as none."""
    logged = len(service.logged())
    yield
    assert FAULTS.findall(service.logged()[logged:]) == []


def test_no_argument_leaves_its_place_in_gitlabs_addresses(service: LiveService, plant: Plant) -> None:
    """As a path, a ref or a branch: each stays one piece of an address below the project that it belongs to."""
    token, path = plant.tokens["developer"], plant.target.path
    since = service.gitlab.requests_seen()[-1]["seq"]
    for text in ELSEWHERE:
        for answer in (
            service.post(GEOMETRIES, token, path=text),
            service.post(GEOMETRIES, token, path=path, ref=text),
            service.post(START, token, input={"projectPath": text, "issueIid": 1}),
            service.post(START, token, input={"projectPath": path, "branch": text}),
        ):
            codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
            assert codes <= {"NOT_FOUND", "GITLAB_REJECTED"}, (text, answer)
            assert not any(answer["data"].values()) or answer["data"]["startBalanceCalculation"]["userErrors"]
    asked = [call for call in service.gitlab.requests_seen(since) if call["method"] != "GET"]
    assert asked == [], "nothing but looking"
    for call in service.gitlab.requests_seen(since):
        place = call["path"]
        assert place.startswith(("/api/v4/projects/", "/api/v4/user", "/api/v4/version", "/api/v4/personal_access")), (
            place
        )
        assert "/users/" not in place.replace("/api/v4/users/", ""), place


def test_many_users_at_once_each_get_their_own_answers(service: LiveService, plant: Plant) -> None:
    whole = next(operation for operation in QUERIES if operation.name == "saga")
    stranger = service.gitlab.create_user()
    people = {**plant.tokens, "stranger": stranger.token}
    names = {
        role: service.ask("{ viewer { username } }", token)["viewer"]["username"] for role, token in people.items()
    }
    assert len(set(names.values())) == len(people)

    def ask(role: str) -> tuple[str, str, bool]:
        query = f"query ($id: ID!) {{ viewer {{ username }} {whole.document.partition('{')[2]}"
        data = service.ask(query, people[role], id=plant.target.busy)
        return role, data["viewer"]["username"], data["saga"] is not None

    with ThreadPoolExecutor(12) as crowd:
        for role, name, sees in crowd.map(ask, list(people) * 12):
            assert name == names[role]
            assert sees is (role in whole.needs.shown)


@contextmanager
def _raw(service: LiveService) -> Iterator[socket.socket]:
    place = urlsplit(service.url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        yield connection


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"Content-Length: +5\r\n\r\nabcde",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"X: a\r\n Content-Length: 5\r\n\r\nabcde",
        b"X: a\nContent-Length: 5\r\n\r\nabcde",
    ],
)
def test_a_request_that_two_servers_could_read_differently_is_refused(service: LiveService, head: bytes) -> None:
    with _raw(service) as connection:
        connection.sendall(b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + head)
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1, "nothing after it is taken for a request"


def test_a_batch_is_refused_and_nothing_of_it_runs(service: LiveService, plant: Plant) -> None:
    before = service.rows("SELECT count(*) FROM saga")
    start = {"query": START, "variables": {"input": {"projectPath": plant.target.path, "issueIid": 2}}}
    answer = service.http.post("/graphql", json=[start] * 50, headers=bearer(plant.tokens["developer"]))
    assert answer.status_code == 400
    assert service.rows("SELECT count(*) FROM saga") == before


def test_text_in_an_answer_is_never_a_page(service: LiveService, plant: Plant) -> None:
    script = "<script>alert(1)</script>"
    token = plant.tokens["developer"]
    for answer in (
        service.http.post("/graphql", json={"query": GEOMETRIES, "variables": {"path": script}}, headers=bearer(token)),
        service.http.get("/graphql", params={"query": script}, headers=bearer(token)),
        service.http.get(f"/{script}"),
        service.http.post(
            "/saga/calculate-balance", json={"projectPath": script, "issueIid": 1}, headers=bearer(token)
        ),
    ):
        assert "json" in answer.headers["content-type"]
        assert answer.headers["x-content-type-options"] == "nosniff"

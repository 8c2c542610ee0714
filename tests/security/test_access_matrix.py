"""Every operation, asked by everybody, of one's own project, a foreign one and one that never was.

Who may not see a thing gets the very answer that he would get if it did not exist.
"""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    FieldNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    get_named_type,
    parse,
    validate,
    visit,
)
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

import schema
from tests.security.operations import (
    ALL,
    ASSIGNED,
    CODE,
    FOLLOW,
    IDENTITY,
    LIST,
    MUTATIONS,
    QUERIES,
    SHARED,
    SUBSCRIPTIONS,
    Operation,
    Variables,
)
from tests.security.plants import NOTHING, Plant, Target, new_plant
from tests.security.service import LiveService, bearer

pytestmark = [pytest.mark.xdist_group("live service"), pytest.mark.timeout(300)]

SCHEMA = build_schema((Path(schema.__file__).parent / "schema.graphql").read_text(encoding="utf-8"))
GUARDED = {"Saga", "SagaEvent", "CalculationTask", "Issue", "MergeRequest", "PendingInput", "Geometry", "Node"}
"""Types that hold what a project's members wrote."""
FILTERS: tuple[Variables, ...] = (
    lambda t: {"projectPath": t.path},
    lambda t: {"branch": t.branch, "projectPath": t.path},
    lambda t: {"issueIid": 1, "projectPath": t.path},
    lambda t: {"projectPath": t.path, "definition": "merge_request"},
    lambda t: {"projectPath": t.path, "statuses": ["AWAITING_INPUT"], "mine": False},
)
ROLES = ("stranger", "guest", "reporter", "developer", "maintainer")


@dataclass(frozen=True)
class Stage:
    """Zebra is the users' own project, yak a foreign one, gnu open to everybody."""

    own: Plant
    foreign: Plant
    open: Plant
    tokens: Mapping[str, str]

    @property
    def nothing(self) -> Target:
        return replace(NOTHING, draft=self.own.target.draft)


@pytest.fixture(scope="module")
def stage(service: LiveService) -> Stage:
    with ThreadPoolExecutor(3) as makers:
        made = [makers.submit(new_plant, service, word) for word in ("zebra", "yak")]
        made.append(makers.submit(new_plant, service, "gnu", visibility="public"))
        own, foreign, opened = (one.result() for one in made)
    return Stage(own, foreign, opened, {**own.tokens, "stranger": service.gitlab.create_user().token})


def test_the_matrix_has_every_operation_and_every_way_to_a_guarded_thing() -> None:
    ways = set()
    for operation in ALL:
        assert validate(SCHEMA, parse(operation.document)) == [], operation
        ways |= _fields(operation.document)
    missing = {
        f"{kind.name}.{name}"
        for kind in SCHEMA.type_map.values()
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and not kind.name.startswith("__")
        for name, field in kind.fields.items()
        if (kind.name in {"Query", "Mutation", "Subscription"} or get_named_type(field.type).name in GUARDED)
        and (kind.name, name) not in ways
    }
    assert missing == set(), "add them to tests/security/operations.py, with what one needs to see them"


def _fields(document: str) -> set[tuple[str, str]]:
    """The type and name of each field that the document asks for."""
    found: set[tuple[str, str]] = set()
    types = TypeInfo(SCHEMA)

    class Collect(Visitor):
        def enter_field(self, node: FieldNode, *_: object) -> None:
            parent = types.get_parent_type()
            if parent is not None:
                found.add((parent.name, node.name.value))

    visit(parse(document), TypeInfoVisitor(types, Collect()))
    return found


def answer(service: LiveService, operation: Operation, token: str | None, variables: Mapping[str, Any]) -> str:
    return json.dumps(service.post(operation.document, token, **variables), sort_keys=True)


def without_names(text: str, target: Target) -> str:
    """The answer with what the question itself named taken out: what is left is what was told."""
    for name, placeholder in target.names.items():
        text = text.replace(name, placeholder)
    return text


def codes(text: str) -> set[str]:
    """The codes of all errors and user errors."""
    told = json.loads(text)
    data = told.get("data") or {}
    payloads = [payload for payload in data.values() if isinstance(payload, dict)]
    user_errors = [error for payload in payloads for error in payload.get("userErrors", ())]
    return {error["extensions"]["code"] for error in told.get("errors", ())} | {error["code"] for error in user_errors}


@pytest.mark.parametrize("operation", QUERIES, ids=str)
def test_a_query_shows_what_one_may_see_and_hides_the_rest_as_if_it_were_not(
    service: LiveService, stage: Stage, operation: Operation
) -> None:
    own, foreign, nothing = stage.own.target, stage.foreign.target, stage.nothing
    for role in ROLES:
        token = stage.tokens[role]
        unknown = without_names(answer(service, operation, token, operation.variables(nothing)), nothing)
        theirs = answer(service, operation, token, operation.variables(foreign))
        mine = answer(service, operation, token, operation.variables(own))
        assert without_names(theirs, foreign) == unknown, role
        if operation.needs is IDENTITY:
            assert codes(mine) == set()
        elif role in operation.needs.shown:
            assert codes(mine) == operation.told, role
            assert without_names(mine, own) != unknown, role
        elif role in operation.needs.forbidden:
            assert codes(mine) == {"FORBIDDEN"}, role
        else:
            assert without_names(mine, own) == unknown, role
        if role not in operation.needs.shown:
            assert own.word not in without_names(mine, own), role


@pytest.mark.parametrize("token", [None, "glpat-of-nobody"])
def test_whoever_is_not_known_learns_nothing_at_all(service: LiveService, stage: Stage, token: str | None) -> None:
    for operation in ALL:
        if operation.document.startswith("subscription"):
            continue
        told = []
        for target in (stage.own.target, stage.foreign.target, stage.open.target, stage.nothing):
            text = answer(service, operation, token, operation.variables(target))
            assert codes(text) == {"UNAUTHENTICATED"}, operation
            told.append(without_names(text, target))
        assert len(set(told)) == 1, operation
    with pytest.raises(ConnectionClosed), subscribed(service, token):
        pytest.fail("a socket was opened for nobody")


def test_a_guest_sees_an_issue_but_not_the_work_on_it(service: LiveService, stage: Stage) -> None:
    issue = next(operation for operation in QUERIES if operation.name == "issue")
    for role, total in (("guest", 0), ("reporter", 1)):
        told = service.ask(issue.document, stage.tokens[role], **issue.variables(stage.own.target))["issue"]
        assert told["sagas"]["totalCount"] == total
        assert len(told["sagas"]["edges"]) == total
        assert (told["place"] is None) == (role == "guest")


def test_an_issue_that_may_not_be_seen_is_as_one_that_is_not_there(service: LiveService, stage: Stage) -> None:
    own = stage.own.target
    ask = "query ($path: ID!, $iid: Int!) { issue(projectPath: $path, iid: $iid) { id title } }"
    for token in (stage.tokens["guest"], stage.tokens["stranger"]):
        secret = service.post(ask, token, path=own.path, iid=own.secret_iid)
        assert secret == service.post(ask, token, path=own.path, iid=99_999) == {"data": {"issue": None}}


@pytest.mark.parametrize("role", ROLES)
def test_lists_filters_totals_and_cursors_tell_of_nothing_hidden(service: LiveService, stage: Stage, role: str) -> None:
    own, foreign, opened, nothing = stage.own.target, stage.foreign.target, stage.open.target, stage.nothing
    token, sees = stage.tokens[role], role in CODE.shown
    everything = service.ask(LIST, token)["sagas"]
    seen = {edge["node"]["id"] for edge in everything["edges"]}
    assert seen == {opened.busy, opened.waiting} | ({own.busy, own.waiting} if sees else set())
    assert everything["totalCount"] == len(seen)
    for by in FILTERS:
        none = service.ask(LIST, token, filter=by(nothing))
        assert service.ask(LIST, token, filter=by(foreign)) == none
        assert (service.ask(LIST, token, filter=by(own)) != none) is sees
    by_branch = service.ask(LIST, token, filter={"branch": foreign.branch})["sagas"]
    assert (by_branch["totalCount"], by_branch["edges"]) == (0, [])
    # A cursor is a place, no ticket: one from a foreign page leads into what oneself may see.
    theirs = service.ask(LIST, stage.foreign.tokens["developer"], filter={"projectPath": foreign.path})["sagas"]
    for place in (
        {"first": 100, "after": theirs["pageInfo"]["startCursor"]},
        {"last": 100, "before": theirs["pageInfo"]["endCursor"]},
    ):
        beyond = service.ask(LIST, token, **place)["sagas"]
        assert {edge["node"]["id"] for edge in beyond["edges"]} <= seen
        assert beyond["totalCount"] == len(seen)


def test_assigned_issues_of_a_project_that_one_was_thrown_out_of_are_gone(service: LiveService, stage: Stage) -> None:
    plant, gitlab = stage.foreign, service.gitlab
    for role in ("developer", "guest"):
        person = gitlab.create_user()
        gitlab.add_member(plant.project.id, person.id, {"developer": 30, "guest": 10}[role])
        gitlab.api("POST", f"/projects/{plant.project.id}/issues", {"title": "A yak", "assignee_ids": [person.id]})
        gitlab.api("DELETE", f"/projects/{plant.project.id}/members/{person.id}")
        assert service.ask(ASSIGNED, person.token)["issues"]["edges"] == []
    titles = [edge["node"]["title"] for edge in service.ask(ASSIGNED, stage.tokens["guest"])["issues"]["edges"]]
    assert titles == ["Heaters of the zebra", "Tubes of the zebra"]


def everything_written(service: LiveService) -> tuple[object, ...]:
    """What commands could change: every saga and its inbox, and what was written to GitLab."""
    sagas = service.rows("SELECT id, version, status, wanted::text FROM saga ORDER BY id")
    counts = service.rows(
        "SELECT (SELECT count(*) FROM signal), (SELECT count(*) FROM draft), (SELECT count(*) FROM idempotency_record)"
    )
    ours = [call for call in service.gitlab.requests_seen() if call["method"] not in {"GET", "HEAD"}]
    return sagas, counts, len(ours)


def test_commands_of_those_who_may_not_are_refused_alike_and_change_nothing(service: LiveService, stage: Stage) -> None:
    before = everything_written(service)
    for operation in MUTATIONS:
        for role in ROLES:
            token, where = stage.tokens[role], (operation, role)
            unknown = without_names(
                answer(service, operation, token, operation.variables(stage.nothing)), stage.nothing
            )
            assert codes(unknown) == {"NOT_FOUND"}, where
            theirs = answer(service, operation, token, operation.variables(stage.foreign.target))
            assert without_names(theirs, stage.foreign.target) == unknown, where
            if role in operation.needs.shown:
                assert operation.harmless is not None
                told = codes(answer(service, operation, token, operation.harmless(stage.own.target)))
                assert told
                assert not told & {"NOT_FOUND", "FORBIDDEN", "INTERNAL_SERVER_ERROR"}, where
                continue
            mine = answer(service, operation, token, operation.variables(stage.own.target))
            if role in operation.needs.forbidden:
                assert codes(mine) == {"FORBIDDEN"}, where
            else:
                assert without_names(mine, stage.own.target) == unknown, where
    assert everything_written(service) == before


def test_what_everybody_may_read_only_its_developers_may_move(service: LiveService, stage: Stage) -> None:
    before = everything_written(service)
    for operation in MUTATIONS:
        for token in (*stage.tokens.values(), stage.open.tokens["reporter"]):
            assert codes(answer(service, operation, token, operation.variables(stage.open.target))) == {"FORBIDDEN"}
    assert everything_written(service) == before


def test_a_token_that_may_only_read_moves_nothing(service: LiveService, stage: Stage) -> None:
    gitlab = service.gitlab
    person = gitlab.create_user(scopes=("read_api",))
    gitlab.add_member(stage.own.project.id, person.id, 40)
    before = everything_written(service)
    for operation in MUTATIONS:
        told = codes(answer(service, operation, person.token, operation.variables(stage.own.target)))
        assert told == {"FORBIDDEN"}, operation
    assert everything_written(service) == before


def test_the_rest_route_refuses_as_the_mutation_does(service: LiveService, stage: Stage) -> None:
    before = everything_written(service)

    def started(target: Target, token: str | None) -> tuple[int, str, str]:
        body = {"projectPath": target.path, "branch": target.branch}
        told = service.http.post("/saga/calculate-balance", json=body, headers=bearer(token))
        return told.status_code, told.json()["code"], without_names(told.text, target)

    assert started(stage.own.target, None)[:2] == (401, "UNAUTHENTICATED")
    for role in ("stranger", "guest", "reporter"):
        token = stage.tokens[role]
        unknown = started(stage.nothing, token)
        assert unknown[:2] == (404, "NOT_FOUND")
        assert started(stage.foreign.target, token) == unknown
        wanted = unknown[:2] if role == "stranger" else (403, "FORBIDDEN")
        assert started(stage.own.target, token)[:2] == wanted
    assert everything_written(service) == before


@contextmanager
def subscribed(service: LiveService, token: str | None) -> Iterator[ClientConnection]:
    """A socket after its handshake."""
    with connect(service.socket_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        socket.send(json.dumps({"type": "connection_init", "payload": bearer(token)}))
        assert json.loads(socket.recv(timeout=30)) == {"type": "connection_ack"}
        yield socket


def subscribe(socket: ClientConnection, name: str, query: str, variables: Mapping[str, Any]) -> None:
    socket.send(json.dumps({"id": name, "type": "subscribe", "payload": {"query": query, "variables": variables}}))


def first_word(socket: ClientConnection, operation: Operation, target: Target) -> dict[str, Any]:
    """The first message about a new subscription, which is ended after it."""
    name = f"{operation.name} {target.word}"
    subscribe(socket, name, operation.document, operation.variables(target))
    while True:
        message: dict[str, Any] = json.loads(socket.recv(timeout=30))
        if message.get("id") == name:
            socket.send(json.dumps({"id": name, "type": "complete"}))
            return {key: value for key, value in message.items() if key != "id"}


@pytest.mark.parametrize("role", ROLES)
def test_a_subscription_tells_what_one_may_see_and_ends_as_if_the_rest_were_not(
    service: LiveService, stage: Stage, role: str
) -> None:
    own, foreign, nothing = stage.own.target, stage.foreign.target, stage.nothing
    with listened_to_by_their_developers(service, stage), subscribed(service, stage.tokens[role]) as socket:
        for operation in (*SUBSCRIPTIONS, *SHARED):
            unknown = without_names(json.dumps(first_word(socket, operation, nothing)), nothing)
            assert '"NOT_FOUND"' in unknown
            assert without_names(json.dumps(first_word(socket, operation, foreign)), foreign) == unknown
            mine = first_word(socket, operation, own)
            if role in operation.needs.shown:
                assert mine["type"] == "next"
                assert "errors" not in mine["payload"]
            else:
                assert without_names(json.dumps(mine), own) == unknown


@contextmanager
def listened_to_by_their_developers(service: LiveService, stage: Stage) -> Iterator[None]:
    """Streams that could be joined by others who ask the same."""
    with ExitStack() as stack:
        for plant in (stage.own, stage.foreign):
            socket = stack.enter_context(subscribed(service, plant.tokens["developer"]))
            for operation in SHARED:
                subscribe(socket, operation.name, operation.document, operation.variables(plant.target))
                while json.loads(socket.recv(timeout=30))["type"] != "next":
                    pass
        yield


def first_event(service: LiveService, operation: Operation, target: Target, token: str | None) -> str:
    """The first event of a subscription over server-sent events."""
    asked = {"query": operation.document, "variables": operation.variables(target)}
    headers = {"Accept": "text/event-stream", **bearer(token)}
    with service.http.stream("POST", "/graphql", json=asked, headers=headers) as answer:
        for line in answer.iter_lines():
            if line.startswith("data:") and len(line) > len("data: "):
                return line
    return f"{answer.status_code}"


def test_a_subscription_over_plain_http_tells_no_more(service: LiveService, stage: Stage) -> None:
    own, foreign, nothing = stage.own.target, stage.foreign.target, stage.nothing
    with listened_to_by_their_developers(service, stage):
        for operation in (*SUBSCRIPTIONS, *SHARED):
            assert '"UNAUTHENTICATED"' in first_event(service, operation, own, None)
            for role in ROLES:
                token = stage.tokens[role]
                unknown = without_names(first_event(service, operation, nothing, token), nothing)
                assert '"NOT_FOUND"' in unknown
                assert without_names(first_event(service, operation, foreign, token), foreign) == unknown
                mine = without_names(first_event(service, operation, own, token), own)
                assert (mine != unknown) is (role in operation.needs.shown)
                assert ('"errors"' not in mine) is (role in operation.needs.shown)


def test_followers_hear_of_those_sagas_only_that_they_may_see(service: LiveService, stage: Stage) -> None:
    """A change in the foreign project, one in the own, one in the open one: each hears his, and the last one ends it."""
    move = "mutation ($input: SagaActionInput!) { %sSaga(input: $input) { userErrors { code } } }"
    with FollowersOf(service, stage) as followers:
        for kind in ("pause", "resume"):
            for plant in (stage.foreign, stage.own, stage.open):
                payload = service.ask(move % kind, plant.tokens["developer"], input={"sagaId": plant.target.waiting})
                assert payload[f"{kind}Saga"]["userErrors"] == []
        for role in ROLES:
            sees = {stage.open.target.waiting} | ({stage.own.target.waiting} if role in CODE.shown else set())
            assert followers.heard(role) == sees, role
            assert followers.heard(role, by="foreign") == set(), role


class FollowersOf:
    """A subscriber of each role to all changes, one filter by filter."""

    def __init__(self, service: LiveService, stage: Stage) -> None:
        self._service, self._stage = service, stage
        self._open: list[Any] = []
        self._sockets: dict[str, ClientConnection] = {}
        self._heard: dict[tuple[str, str], set[str]] = {}

    def __enter__(self) -> "FollowersOf":
        filters = {"all": None, "foreign": {"projectPath": self._stage.foreign.target.path}}
        for role in ROLES:
            holder = subscribed(self._service, self._stage.tokens[role])
            self._sockets[role] = holder.__enter__()
            self._open.append(holder)
            for name, asked in filters.items():
                subscribe(self._sockets[role], name, FOLLOW, {"filter": asked})
                self._heard[role, name] = set()
            # A query that is answered on the same socket tells that the subscriptions before it stand.
            subscribe(self._sockets[role], "fence", "{ viewer { id } }", {})
            while json.loads(self._sockets[role].recv(timeout=30)).get("type") != "complete":
                pass
        return self

    def __exit__(self, *_: object) -> None:
        for holder in self._open:
            holder.__exit__(None, None, None)

    def heard(self, role: str, *, by: str = "all") -> set[str]:
        """The sagas that the role heard of, once the open project's came to its end."""
        socket, last = self._sockets[role], self._stage.open.target.waiting
        while last not in self._heard[role, "all"]:
            message = json.loads(socket.recv(timeout=60))
            assert message["type"] == "next", message
            assert "errors" not in message["payload"], message
            self._heard[role, message["id"]].add(message["payload"]["data"]["sagasUpdated"]["id"])
        return self._heard[role, by]

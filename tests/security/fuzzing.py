"""Random requests at every door of a running service: GraphQL, REST, webhooks and websockets.

The same seed makes the same requests. What is held against the service: an answer that is a fault of its own, an error
without a code, an end of a websocket that no client could make sense of.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx
import schemathesis
from graphql import parse_value
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis_graphql import nodes
from schemathesis.core.result import Ok
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.security.operations import FOLLOW, SUBSCRIPTIONS
from tests.security.plants import NOTHING, Plant, Target
from tests.security.service import WEBHOOK_SECRET, LiveService, bearer

EXAMPLES = 8
"""Of one kind before the next one has its turn."""
CLOSE_CODES = {1000, 1003, 1007, 1009, 4400, 4401, 4403, 4408, 4409, 4429}
"""How a websocket may end that was sent nonsense."""
FAULTS = re.compile(r"Traceback|internal error|Exception in ASGI|never retrieved|never awaited|\bCRITICAL\b")
"""What in a log tells that the service has failed."""

Complaint = str


@dataclass
class Fuzzer:
    """One user with a project of his own, who asks for anything."""

    service: LiveService
    plant: Plant
    seed: int = 1
    sent: dict[str, int] = field(default_factory=dict)
    """How many requests of each kind."""

    def __post_init__(self) -> None:
        self.token = self.plant.tokens["developer"]
        names = [self.plant.target, NOTHING]
        given_ids = [value for target in names for value in _ids(target)]
        texts = st.one_of(st.sampled_from([*given_ids, *_texts(self.plant.target), *HOSTILE]), st.text(max_size=50))
        for scalar in ("ID", "String"):
            schemathesis.graphql.scalar(scalar, texts.map(nodes.String))
        schemathesis.graphql.scalar("JSON", _json_nodes(self.plant.target.draft))
        schemathesis.graphql.scalar("DateTime", st.sampled_from(["2026-01-01T00:00:00Z", "x"]).map(nodes.String))
        self.texts = texts

    def graphql(self, seconds: float) -> None:
        """Documents that fit the schema, with values that need not."""
        schema = schemathesis.graphql.from_path("schema/schema.graphql")
        strategies = _strategies(schema)
        self._rounds("graphql", strategies, self._post, seconds)
        self._rounds("nonsense to graphql", [_bodies(self.texts)], self._post_raw, seconds / 4)

    def rest(self, seconds: float) -> None:
        """The routes that OpenAPI tells of."""
        schema = schemathesis.openapi.from_dict(self.service.http.get("/openapi.json").json())
        strategies = _strategies(schema)
        self._rounds("rest", strategies, self._call, seconds)

    def webhooks(self, seconds: float) -> None:
        """Deliveries that carry the secret, and such that do not."""
        self._rounds("webhooks", [_deliveries(self.plant, self.texts)], self._deliver, seconds)

    def frames(self, seconds: float) -> None:
        """Websockets that are told anything in any order."""
        self._rounds("frames", [st.lists(_frames(self.plant, self.token), min_size=1, max_size=8)], self._talk, seconds)

    def _rounds(
        self, kind: str, strategies: list[Any], attack: Callable[[Any], Complaint | None], seconds: float
    ) -> None:
        end = time.monotonic() + seconds
        for number in _until(end):
            for strategy in strategies:
                if number and time.monotonic() >= end:
                    return

                @seed(self.seed * 1_000_003 + number)
                @settings(
                    max_examples=EXAMPLES,
                    database=None,
                    deadline=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )
                @given(strategy)
                def once(example: Any) -> None:
                    self.sent[kind] = self.sent.get(kind, 0) + 1
                    complaint = attack(example)
                    assert complaint is None, complaint

                once()

    def _post(self, case: Any) -> Complaint | None:
        return self._judged(self.service.http.post("/graphql", json={"query": case.body}, headers=bearer(self.token)))

    def _post_raw(self, given: tuple[bytes, Mapping[str, str]]) -> Complaint | None:
        body, headers = given
        return self._judged(self.service.http.post("/graphql", content=body, headers={**headers, **bearer(self.token)}))

    def _judged(self, response: httpx.Response) -> Complaint | None:
        if response.status_code >= 500:
            return f"{response.status_code}: {response.text[:300]}"
        for text in _answers(response):
            answer = json.loads(text)
            complaint = (
                _unlabelled(answer.get("errors", ())) if isinstance(answer, dict) else f"no answer: {text[:300]}"
            )
            if complaint is not None:
                return complaint
        return None

    def _call(self, case: Any) -> Complaint | None:
        response = case.call(base_url=self.service.url, headers=bearer(self.token))
        if response.status_code < 400:
            return None
        code = response.json().get("code")
        if code is None or code == "INTERNAL_SERVER_ERROR":
            return f"{response.status_code} {code}: {response.text[:300]}"
        return None if response.status_code < 500 or code == "GITLAB_UNAVAILABLE" else f"{response.status_code} {code}"

    def _deliver(self, given: tuple[bytes, Mapping[str, str]]) -> Complaint | None:
        body, headers = given
        response = self.service.http.post("/webhooks/gitlab", content=body, headers=headers)
        wanted = {200, 400, 413} if headers.get("X-Gitlab-Token") == WEBHOOK_SECRET else {401, 413}
        return None if response.status_code in wanted else f"{response.status_code}: {response.text[:300]}"

    def _talk(self, frames: list[str | bytes]) -> Complaint | None:
        try:
            with connect(self.service.socket_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
                for frame in frames:
                    socket.send(frame)
                while True:
                    complaint = _complaint_about(json.loads(socket.recv(timeout=0.05)))
                    if complaint is not None:
                        return complaint
        except TimeoutError:
            return None
        except ConnectionClosed as closed:
            code = None if closed.rcvd is None else closed.rcvd.code
            return None if code in CLOSE_CODES else f"closed with {code}"


HOSTILE = (
    "",
    "a\0b",
    "../../etc/passwd",
    "%2e%2e%2f",
    "a\r\nX: y",
    "' OR 1=1 --",
    "<script>alert(1)</script>",
    "/merge",
    "x" * 3000,
    "U2FnYTp4",
    "{{7*7}}",
    "🧪",
    "-1",
    "main",
    "HEAD",
)


def _answers(response: httpx.Response) -> list[str]:
    """The GraphQL answers in a response: one, or those of an event stream."""
    if not response.headers["content-type"].startswith("text/event-stream"):
        return [response.text]
    return [
        line.removeprefix("data:")
        for line in response.text.splitlines()
        if line.startswith("data:") and line[5:].strip()
    ]


def _strategies(schema: schemathesis.BaseSchema) -> list[Any]:
    """One of each operation; an operation that schemathesis does not understand is an error of ours."""
    strategies = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        strategies.append(found.ok().as_strategy())
    return strategies


def _until(end: float) -> Iterator[int]:
    for number in count():
        if time.monotonic() >= end:
            return
        yield number


def _ids(target: Target) -> list[str]:
    return [
        target.busy,
        target.waiting,
        target.event,
        target.task,
        target.merge_request,
        target.issue,
        target.secret_issue,
    ]


def _texts(target: Target) -> list[str]:
    return [target.path, target.branch, "condenser", "balance", "AWAIT_USER_CONDENSER_INPUT"]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


def _json_nodes(draft: Any) -> st.SearchStrategy[Any]:
    """Literals for the scalar JSON: also the document that the waiting saga would take."""
    scalars = st.integers(-(2**40), 2**40).map(nodes.Int) | st.text(max_size=20).map(nodes.String)
    numbers = st.floats(allow_nan=False, allow_infinity=False).map(nodes.Float)
    return scalars | numbers | st.just(_node(draft))


def _node(value: Any) -> Any:
    return parse_value(_literal(value))


def _literal(value: Any) -> str:
    """JSON as GraphQL writes it: keys are names."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_literal(one)}" for key, one in value.items()) + "}"
    return "[" + ", ".join(map(_literal, value)) + "]" if isinstance(value, list) else json.dumps(value)


def _bodies(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Bodies that are no GraphQL request, or only nearly one."""
    request = st.fixed_dictionaries(
        {},
        optional={
            "query": st.sampled_from(["{ viewer { id } }", "{", "query A { viewer { id } } query B { viewer { id } }"])
            | _VALUES,
            "variables": _VALUES,
            "operationName": texts | _VALUES,
            "extensions": _VALUES,
        },
    )
    bodies = st.one_of(request, _VALUES).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200)
    kinds = st.sampled_from(
        ["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
    )
    accepts = st.sampled_from(
        ["application/json", "application/graphql-response+json", "text/html", "*/*", "text/event-stream"]
    )
    return st.tuples(bodies, st.fixed_dictionaries({"Content-Type": kinds, "Accept": accepts}))


def _deliveries(plant: Plant, texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    payload = st.fixed_dictionaries(
        {"object_kind": st.sampled_from(["push", "tag_push", "issue", "merge_request", "pipeline"]) | _VALUES},
        optional={
            "project_id": st.just(plant.project.id) | _VALUES,
            "project": st.fixed_dictionaries({"id": st.just(plant.project.id) | _VALUES}) | _VALUES,
            "ref": st.just(f"refs/heads/{plant.target.branch}") | texts.map("refs/heads/{}".format) | _VALUES,
            "before": st.just("0" * 40) | texts | _VALUES,
            "after": st.just("a" * 40) | texts | _VALUES,
            "object_attributes": st.fixed_dictionaries({"iid": _VALUES, "source_branch": texts}) | _VALUES,
        },
    )
    bodies = payload.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200)
    secret = st.sampled_from([WEBHOOK_SECRET] * 4 + [WEBHOOK_SECRET[:-1], ""])
    headers = {"X-Gitlab-Token": secret, "Webhook-Id": st.from_regex(r"[!-~]{0,300}", fullmatch=True)}
    return st.tuples(bodies, st.fixed_dictionaries(headers))


def _frames(plant: Plant, token: str) -> st.SearchStrategy[Any]:
    """Messages of the protocol, near misses, and what is none at all."""
    init = {"type": "connection_init", "payload": bearer(token)}
    queries = [(operation.document, operation.variables(plant.target)) for operation in SUBSCRIPTIONS]
    queries += [(FOLLOW, {}), ("{ viewer { id } }", {}), ("{", {}), ("subscription { nothing }", {})]
    subscribe = st.builds(
        lambda name, query: {"id": name, "type": "subscribe", "payload": {"query": query[0], "variables": query[1]}},
        st.sampled_from(["1", "2", ""]),
        st.sampled_from(queries),
    )
    near = st.fixed_dictionaries(
        {
            "type": st.sampled_from(["connection_init", "subscribe", "complete", "ping", "pong", "next", "start"])
            | _VALUES
        },
        optional={"id": st.sampled_from(["1", "2"]) | _VALUES, "payload": _VALUES},
    )
    complete = st.sampled_from([{"id": "1", "type": "complete"}, {"type": "ping"}, {"type": "pong"}])
    messages = st.one_of(st.just(init), st.just(init), subscribe, subscribe, complete, near).map(json.dumps)
    return st.one_of(messages, messages, messages, messages, st.text(max_size=50), st.binary(max_size=50))


def _complaint_about(message: Mapping[str, Any]) -> Complaint | None:
    payload = message.get("payload")
    if message.get("type") == "error":
        return _unlabelled(payload)
    return (
        _unlabelled(payload.get("errors", ())) if message.get("type") == "next" and isinstance(payload, dict) else None
    )


def _unlabelled(errors: Any) -> Complaint | None:
    for error in errors:
        code = error.get("extensions", {}).get("code")
        if code in {None, "INTERNAL_SERVER_ERROR"}:
            return f"an error with the code {code}: {error}"
    return None

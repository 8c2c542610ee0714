"""What the API benchmark asks for, once as GraphQL and once as the plain route's request."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

BRANCHES = 20_000
"""A saga writes to a branch of its own, so starts need many."""

_SAGA = """id status state nextStep version branch projectPath waitingFor
  progress { completedSteps totalSteps } startedBy { username name } createdAt updatedAt"""
SAGA = f"query Saga($id: ID!) {{ saga(id: $id) {{ {_SAGA} }} }}"
SAGAS = f"query Sagas($first: Int!) {{ sagas(first: $first) {{ edges {{ node {{ {_SAGA} }} }} }} }}"
START = f"""mutation Start($input: StartBalanceCalculationInput!) {{
  startBalanceCalculation(input: $input) {{ created userErrors {{ code message field }} saga {{ {_SAGA} }} }}
}}"""
ADVANCE = f"""mutation Advance($input: AdvanceSagaInput!) {{
  advanceSaga(input: $input) {{ created userErrors {{ code message field }} saga {{ {_SAGA} }} }}
}}"""
STEP = "AWAIT_USER_CONDENSER_INPUT"


@dataclass(frozen=True, slots=True)
class Asked:
    """One kind of request. `variables` and `plain` take the id of a saga and the number of a branch."""

    name: str
    query: str
    variables: Callable[[str, int], dict[str, Any]]
    plain: Callable[[str, dict[str, Any]], tuple[str, str, object]]
    """Method, path and body, from the id and the same variables."""
    mutation: bool = False

    def graphql_request(self, variables: dict[str, Any]) -> bytes:
        """As one HTTP request."""
        return http("POST", "/graphql", {"query": self.query, "variables": variables})

    def plain_request(self, saga_id: str, variables: dict[str, Any]) -> bytes:
        """As one HTTP request to the plain route."""
        return http(*self.plain(saga_id, variables))


def http(method: str, path: str, document: object) -> bytes:
    """A request on a connection that is kept."""
    body = b"" if document is None else json.dumps(document).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer irina\r\n"
        f"Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _start(_saga: str, number: int) -> dict[str, Any]:
    return {"input": {"projectPath": "plant/unit", "branch": f"issue/{number}-bench", "idempotencyKey": str(uuid4())}}


def _advance(saga: str, _number: int) -> dict[str, Any]:
    return {"input": {"sagaId": saga, "step": STEP, "values": {"load": 5}, "idempotencyKey": str(uuid4())}}


READ = Asked("saga_by_id", SAGA, lambda saga, _: {"id": saga}, lambda saga, _: ("GET", f"/saga/{saga}", None))
PAGE = Asked("page_of_50", SAGAS, lambda *_: {"first": 50}, lambda *_: ("GET", "/sagas?first=50", None))
BEGIN = Asked("start", START, _start, lambda _, given: ("POST", "/start", given["input"]), mutation=True)
INPUT = Asked("advance", ADVANCE, _advance, lambda _, given: ("POST", "/advance", given["input"]), mutation=True)

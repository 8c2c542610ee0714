"""Trusted documents: named instead of sent, and in strict mode the only ones that run, whatever the transport."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.commands import app as command
from app.graphql_http import GRAPHQL_JSON, JSON
from schema.trusted import ManifestError, TrustedDocuments, hash_of, manifest
from tests.app.api import Api, serving
from tests.app.listening import listening
from tests.world import World

VIEWER = "query Viewer { viewer { username } }"
START = (
    'mutation Start { startBalanceCalculation(input: {projectPath: "plant/unit", branch: "issue/1-test"}) { created } }'
)
KNOWN = manifest([VIEWER])
NAME = f"sha256:{hash_of(VIEWER)}"
UNKNOWN = f"sha256:{hash_of(START)}"
HEADERS = {"Authorization": "Bearer irina"}
ANSWER = {"data": {"viewer": {"username": "irina"}}}


@pytest.fixture
async def open_(world: World) -> AsyncIterator[Api]:
    async with serving(world, engine=False, trusted=TrustedDocuments(KNOWN)) as api:
        yield api


@pytest.fixture
async def strict(world: World) -> AsyncIterator[Api]:
    async with serving(world, engine=False, trusted=TrustedDocuments(KNOWN, strict=True)) as api:
        yield api


async def post(api: Api, **request: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await api.http.post("/graphql", json=request, headers=HEADERS)).json()
    return answer


def code(answer: dict[str, Any]) -> str:
    (error,) = answer["errors"]
    assert "data" not in answer
    return str(error["extensions"]["code"])


NAMED: list[dict[str, Any]] = [
    {"documentId": NAME},
    {"documentId": hash_of(VIEWER)},
    {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash_of(VIEWER)}}},
    {"query": VIEWER, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash_of(VIEWER)}}},
    {"query": VIEWER},
]


async def test_a_trusted_document_runs_named_or_sent(strict: Api) -> None:
    async with listening(strict.app) as server, server.client() as peer:
        for named in NAMED:
            assert await post(strict, **named, operationName="Viewer") == ANSWER
            by_get = {key: value if isinstance(value, str) else json.dumps(value) for key, value in named.items()}
            assert (await strict.http.get("/graphql", params=by_get, headers=HEADERS)).json() == ANSWER
            await peer.send({"id": "1", "type": "subscribe", "payload": named})
            assert await peer.next() == ANSWER["data"]
            await peer.completed()


UNTRUSTED: list[tuple[dict[str, Any], str]] = [
    ({"query": START}, "DOCUMENT_NOT_TRUSTED"),
    ({"query": VIEWER + " "}, "DOCUMENT_NOT_TRUSTED"),
    ({"query": "{ __schema { types { name } } }"}, "DOCUMENT_NOT_TRUSTED"),
    ({"documentId": UNKNOWN}, "PERSISTED_QUERY_NOT_FOUND"),
    ({"query": START, "documentId": UNKNOWN}, "DOCUMENT_NOT_TRUSTED"),
    ({"query": START, "documentId": NAME}, "BAD_USER_INPUT"),
    ({"documentId": "../../etc/passwd"}, "BAD_USER_INPUT"),
    ({"documentId": 5}, "BAD_USER_INPUT"),
    ({"extensions": {"persistedQuery": {"sha256Hash": ["x"]}}}, "BAD_USER_INPUT"),
]


async def test_in_strict_mode_nothing_else_runs(strict: Api) -> None:
    async with listening(strict.app) as server, server.client() as peer:
        for request, expected in UNTRUSTED:
            assert code(await post(strict, **request)) == expected, request
            await peer.send({"id": "1", "type": "subscribe", "payload": request})
            assert (await peer.error())["code"] == expected, request
        await peer.subscribe(VIEWER)
        assert await peer.next() == ANSWER["data"]
    assert await strict.services.backend.queries.project_ids() == []


async def test_a_document_that_is_not_known_may_be_sent_where_the_mode_is_not_strict(open_: Api) -> None:
    assert code(await post(open_, documentId=UNKNOWN)) == "PERSISTED_QUERY_NOT_FOUND"
    assert await post(open_, documentId=NAME) == ANSWER
    assert await post(open_, query="{ viewer { username } }") == ANSWER
    sent = await post(open_, query=START, extensions={"persistedQuery": {"version": 1, "sha256Hash": hash_of(START)}})
    assert sent == {"data": {"startBalanceCalculation": {"created": True}}}


async def test_a_refusal_has_the_status_of_a_request_that_never_ran(strict: Api) -> None:
    for accept, status in ((GRAPHQL_JSON, 400), (JSON, 200)):
        headers = HEADERS | {"Accept": accept}
        assert (await strict.http.post("/graphql", json={"query": START}, headers=headers)).status_code == status


def test_the_command_makes_the_manifest_that_the_setting_takes(tmp_path: Path) -> None:
    (tmp_path / "viewer.graphql").write_text(VIEWER, encoding="utf-8")
    made = CliRunner().invoke(command, ["trust", str(tmp_path / "viewer.graphql")])
    assert made.exit_code == 0
    (tmp_path / "manifest.json").write_text(made.stdout, encoding="utf-8")
    assert TrustedDocuments.load(tmp_path / "manifest.json", strict=True).texts == KNOWN


@pytest.mark.parametrize("document", ["query {", "{ nothing }"])
def test_the_command_refuses_what_the_schema_does_not_take(tmp_path: Path, document: str) -> None:
    (tmp_path / "bad.graphql").write_text(document, encoding="utf-8")
    made = CliRunner().invoke(command, ["trust", str(tmp_path / "bad.graphql")])
    assert made.exit_code == 1
    assert "bad.graphql" in made.stderr
    assert made.stdout == ""


@pytest.mark.parametrize("text", ["{", "[]", '{"a": "b"}', json.dumps({hash_of(VIEWER): 5})])
def test_a_manifest_that_does_not_hold_together_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        TrustedDocuments.load(tmp_path / "manifest.json", strict=True)

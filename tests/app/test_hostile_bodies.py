"""Bodies that no client of ours sends, against a server process: a clear 4xx each, in bounded time and memory."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.app.served import Served, served

MB = 1_000_000
CALM = 150 * MB
"""What the process may have grown by; one 20 MB body kept whole and parsed takes more."""
QUERY = '{"query":"{ __typename }"'
BODIES: dict[str, bytes] = {
    "empty": b"",
    "null": b"null",
    "text": b'"{ __typename }"',
    "number": b"1e999",
    "list": b"[]",
    "list of requests": b"[" + QUERY.encode() + b"}]",
    "half": QUERY.encode(),
    "bad utf-8": QUERY.encode() + b',"variables":{"a":"\xff\xfe"}}',
    "utf-16": (QUERY + "}").encode("utf-16"),
    "nul": b"\0" * 1000,
    "nested lists": b"[" * MB,
    "nested objects": b'{"a":' * 300_000,
    "nested variables": (QUERY + ',"variables":' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}").encode(),
    "nested extensions": (QUERY + ',"extensions":{"a":' + "[" * 100_000 + "]" * 100_000 + "}}").encode(),
    "long integer": (QUERY + ',"variables":{"a":' + "9" * MB + "}}").encode(),
    "no number": (QUERY + ',"variables":{"a":-Infinity}}').encode(),
    "query that is a list": b'{"query":["{ __typename }"]}',
    "variables that are a list": (QUERY + ',"variables":[]}').encode(),
    "extensions that are text": (QUERY + ',"extensions":"x"}').encode(),
    "operationName that is a number": (QUERY + ',"operationName":7}').encode(),
    "nested selections": json.dumps({"query": "{a" * 2_000 + "}" * 2_000}).encode(),
    "nested values": json.dumps({"query": "{ node(id: " + "[" * 2_000 + "]" * 2_000 + ") { id } }"}).encode(),
    "nested types": json.dumps(
        {"query": "query ($a: " + "[" * 2_000 + "ID" + "]" * 2_000 + ") { __typename }"}
    ).encode(),
    "many tokens": json.dumps({"query": "{" + " __typename" * 100_000 + "}"}).encode(),
    "long comment": json.dumps({"query": "#" * (MB + MB // 2)}).encode(),
    "long name": json.dumps({"query": "{ " + "a" * MB + " }"}).encode(),
    "half a surrogate pair": b'{"query":"{ node(id: \\"\\ud800\\") { id } }"',
}


@pytest.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database_url, tmp_path) as made:
        yield made


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // MB):
        yield b" " * MB


async def test_what_is_no_request_is_refused_with_a_graphql_error_and_leaves_the_server_as_it_was(
    server: Served, subtests: pytest.Subtests
) -> None:
    headers = {"Content-Type": "application/json"}
    graphql = {"Accept": "application/graphql-response+json"}
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        for _ in range(3):
            await http.post(server.url, json={"query": "{ __typename }"})
        before = server.memory()
        for name, body in BODIES.items():
            with subtests.test(name):
                response = await http.post(server.url, content=body, headers=headers | graphql)
                assert 400 <= response.status_code < 500
                assert all("code" in error["extensions"] for error in response.json()["errors"])
        for name, content in {"20 MB": b" " * (20 * MB), "20 MB in chunks": None}.items():
            with subtests.test(name):
                for _ in range(5):
                    response = await http.post(server.url, content=content or chunks(20 * MB), headers=headers)
                    assert response.status_code == 413
                    (error,) = response.json()["errors"]
                    assert (error["extensions"]["code"], error["extensions"]["limit"]) == ("LIMIT_EXCEEDED", "body")
        grown = server.memory() - before
        answer = await http.post(server.url, json={"query": "{ __typename }"})
    assert answer.json() == {"data": {"__typename": "Query"}}
    assert grown < CALM
    assert "Traceback" not in server.said()


async def test_a_body_that_never_ends_costs_the_others_nothing(server: Served) -> None:
    """Half-sent bodies, many of them, while others are answered."""
    port = int(server.url.split(":")[2].split("/")[0])
    head = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1900000\r\n\r\n"
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
    for _, writer in slow:
        writer.write(head + b'{"query":')
        await writer.drain()
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.post(server.url, json={"query": "{ __typename }"})
    for _, writer in slow:
        writer.close()
    assert answer.json() == {"data": {"__typename": "Query"}}

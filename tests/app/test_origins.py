"""Foreign web pages: which may talk to the service, and which may not, over HTTP and websockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from app.origins import LOOPBACK_HOSTS, WebAccess
from app.services import Services
from app.web import build_app
from tests.app.api import Api
from tests.app.listening import PROTOCOL, Listener, listening
from tests.world import World

IDE, EVIL = "https://ide.example.com", "https://evil.example.com"
VIEWER = json.dumps({"query": "{ viewer { username } }"})
JSON = {"Content-Type": "application/json"}
START = json.dumps(
    {
        "query": "mutation ($i: StartBalanceCalculationInput!) { startBalanceCalculation(input: $i) { created } }",
        "variables": {"i": {"projectPath": "plant/unit", "branch": "issue/1-test"}},
    }
)


@asynccontextmanager
async def reachable(api: Api, access: WebAccess) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """The same service, for these pages and under these names."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        yield api.services

    app = build_app(opened, access)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as http,
    ):
        yield app, http


async def sagas(world: World) -> int:
    count: int = await world.database.read(lambda c: c.fetchval("SELECT count(*) FROM saga"))
    return count


def preflight(origin: str) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }


async def test_without_the_setting_no_foreign_page_reads_anything(api: Api) -> None:
    async with reachable(api, WebAccess()) as (_, http):
        asked = await http.options("/graphql", headers=preflight(IDE))
        assert asked.status_code >= 400
        answered = await http.post(
            "/graphql", content=VIEWER, headers=JSON | {"Origin": IDE, "Authorization": "Bearer irina"}
        )
    assert not [
        name for response in (asked, answered) for name in response.headers if name.startswith("access-control")
    ]


async def test_named_origins_may_call_and_others_may_not(api: Api) -> None:
    async with reachable(api, WebAccess(origins=(IDE,))) as (_, http):
        allowed = await http.options("/graphql", headers=preflight(IDE))
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == IDE
        assert "access-control-allow-credentials" not in allowed.headers
        answered = await http.post(
            "/graphql", content=VIEWER, headers=JSON | {"Origin": IDE, "Authorization": "Bearer irina"}
        )
        assert answered.json() == {"data": {"viewer": {"username": "irina"}}}
        assert answered.headers["access-control-allow-origin"] == IDE
        for foreign in (EVIL, "null", IDE + ".evil.example.com", IDE.replace("https", "http")):
            refused = await http.options("/graphql", headers=preflight(foreign))
            assert refused.status_code == 400
            assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
async def test_what_a_page_may_send_without_asking_starts_nothing(api: Api, media_type: str) -> None:
    """Form posts need no preflight: they must not be taken for requests, whoever the user is."""
    headers = {"Content-Type": media_type, "Origin": EVIL, "Authorization": "Bearer irina"}
    rest = json.dumps({"projectPath": "plant/unit", "branch": "issue/1-test"})
    for path, body in (("/graphql", START), ("/saga/calculate-balance", rest)):
        response = await api.http.post(path, content=body, headers=headers)
        assert 400 <= response.status_code < 500, path
    by_get = {"query": json.loads(START)["query"], "variables": json.dumps(json.loads(START)["variables"])}
    response = await api.http.get("/graphql", params=by_get, headers={"Authorization": "Bearer irina"})
    assert response.status_code == 405
    assert await sagas(api.world) == 0


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("localhost:8000", True),
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("LOCALHOST", True),
        ("evil.example.com", False),
        ("evil.example.com:8000", False),
        ("127.0.0.1.evil.example.com", False),
        ("localhost.evil.example.com", False),
        ("localhost@evil.example.com", False),
        ("", False),
    ],
)
async def test_in_demo_mode_a_name_that_was_made_to_resolve_to_us_gets_no_answer(
    api: Api, host: str, answered: bool
) -> None:
    async with reachable(api, WebAccess(hosts=LOOPBACK_HOSTS)) as (_, http):
        for path in ("/healthz", "/", "/saga/calculate-balance"):
            response = await http.get(path, headers={"Host": host})
            assert (response.status_code != 400) is answered, path
        response = await http.post(
            "/graphql", content=VIEWER, headers=JSON | {"Host": host, "Authorization": "Bearer irina"}
        )
        assert ("irina" in response.text) is answered


async def handshake(server: Listener, *, origin: str | None, host: str | None = None) -> int:
    """The status that the handshake of a websocket is answered with; 101: it is open."""
    lines = [
        "GET /graphql HTTP/1.1",
        f"Host: {host or f'127.0.0.1:{server.port}'}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Sec-WebSocket-Protocol: {PROTOCOL}",
        *([] if origin is None else [f"Origin: {origin}"]),
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write("\r\n".join([*lines, "", ""]).encode())
    async with asyncio.timeout(30):
        answer = await reader.readline()
    writer.close()
    return int(answer.split()[1])


async def test_a_foreign_page_opens_no_websocket(api: Api) -> None:
    async with reachable(api, WebAccess(origins=(IDE,), hosts=LOOPBACK_HOSTS)) as (app, _), listening(app) as server:
        own = f"http://127.0.0.1:{server.port}"
        assert [await handshake(server, origin=origin) for origin in (None, own, IDE)] == [101, 101, 101]
        for origin in (EVIL, "null", own + ".evil.example.com", "http://127.0.0.1:1", IDE + ":8443"):
            assert await handshake(server, origin=origin) == 403, origin


async def test_a_rebound_name_opens_no_websocket_in_demo_mode(api: Api) -> None:
    async with reachable(api, WebAccess(hosts=LOOPBACK_HOSTS)) as (app, _), listening(app) as server:
        host = f"evil.example.com:{server.port}"
        assert await handshake(server, origin=f"http://{host}", host=host) == 400
        assert await handshake(server, origin=f"http://localhost:{server.port}", host=f"localhost:{server.port}") == 101

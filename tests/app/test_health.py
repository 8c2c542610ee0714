import asyncio
from pathlib import Path

import pytest

from app import explorer, health, migrate
from sagas.errors import RetryableError
from sagas.store.database import Database
from tests.app.api import AnsweringForge, AnsweringPublisher, Api
from tests.support import eventually


async def test_a_service_whose_dependencies_answer_is_ready(api: Api) -> None:
    response = await api.http.get("/readyz")
    assert response.status_code == 200
    report = response.json()
    assert (report["status"], report["down"]) == ("ready", [])
    assert set(report["dependencies"]) == {"database", "gitlab", "broker", "live"}


async def test_each_dependency_that_is_away_is_named_with_its_reason(api: Api) -> None:
    forge, publisher = api.services.forge, api.services.publisher
    assert isinstance(forge, AnsweringForge)
    assert isinstance(publisher, AnsweringPublisher)
    forge.down = RetryableError("GITLAB_UNAVAILABLE", "401 Unauthorized: the token has expired")
    publisher.down = RetryableError("BROKER_UNAVAILABLE", "connection refused")
    api.feed.trouble = "the LISTEN connection is lost"
    response = await api.http.get("/readyz")
    assert response.status_code == 200, "requests can be served"
    report = response.json()
    assert (report["status"], report["down"]) == ("degraded", ["gitlab", "broker", "live"])
    assert "expired" in report["dependencies"]["gitlab"]["error"]


async def test_without_the_database_requests_cannot_be_served(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: object) -> None:
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(migrate, "current_revision", away)
    response = await api.http.get("/readyz")
    assert (response.status_code, response.json()["down"]) == (503, ["database"])
    assert (await api.http.get("/healthz")).status_code == 200, "the process is alive all the same"


async def test_a_database_behind_the_release_is_told_with_what_helps(api: Api, empty_database_url: str) -> None:
    empty = await Database.open(empty_database_url, size=2)
    try:
        problem = await health._migrated(empty.engine)
    finally:
        await empty.close()
    assert problem is not None
    assert "orchestrator migrate" in problem


async def test_during_an_upgrade_processes_of_the_old_release_stay_ready(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def newer(_: object) -> str:
        return "0999"

    monkeypatch.setattr(migrate, "current_revision", newer)
    response = await api.http.get("/readyz")
    assert (response.status_code, response.json()["dependencies"]["database"]) == (200, {"ok": True})


async def test_the_pages_load_nothing_from_elsewhere(api: Api) -> None:
    page = await api.http.get("/")
    assert page.status_code == 200
    assert '"/graphql"' in page.text
    for path in Path(explorer.PAGES).glob("*.*"):
        elsewhere = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in elsewhere
        assert "http://" not in elsewhere


async def test_however_many_ask_at_once_the_dependencies_are_asked_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, gate = 0, asyncio.Event()

    async def version() -> str:
        nonlocal asked
        asked += 1
        await gate.wait()
        return "19.3.0"

    monkeypatch.setattr(api.services.forge, "version", version)
    crowd = [asyncio.create_task(api.http.get("/readyz")) for _ in range(50)]
    await eventually(lambda: asked, what="the first question is asked")
    gate.set()
    assert {response.status_code for response in await asyncio.gather(*crowd)} == {200}
    assert asked == 1
    assert (await api.http.get("/readyz")).json()["status"] == "ready"
    assert asked == 2, "an answer is not kept"

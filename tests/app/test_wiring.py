from pathlib import Path

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from tests.support import eventually


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """A real database, and a GitLab that does not answer."""
    return Settings(
        database_url=database_url,
        gitlab_url="http://127.0.0.1:9",
        gitlab_token="not-a-secret",
        data_dir=tmp_path,
        _env_file=None,
    )


@pytest.mark.parametrize("engine", [True, False])
async def test_the_service_starts_and_says_what_is_down_while_gitlab_is_away(settings: Settings, engine: bool) -> None:
    app = create_app(settings.model_copy(update={"engine_in_process": engine}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1") as http,
    ):

        async def degraded() -> bool:
            response = await http.get("/readyz")
            report = response.json()
            assert response.status_code == 200, report
            return bool(report["dependencies"]["live"]["ok"])

        await eventually(degraded, what="the hub hears")
        report = (await http.get("/readyz")).json()
        assert (report["status"], report["dependencies"]["database"]) == ("degraded", {"ok": True})
        assert "gitlab" in report["down"]
        answer = (await http.post("/graphql", json={"query": "{ viewer { username } }"})).json()
        assert answer["errors"][0]["extensions"]["code"] == "GITLAB_UNAVAILABLE"
        assert (await http.get("/healthz")).json() == {"status": "ok"}

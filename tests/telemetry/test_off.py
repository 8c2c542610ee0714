"""Off unless a setting asks for it, and free then."""

import subprocess
import sys
from pathlib import Path

from app.at_work import named_in_logs
from app.settings import Settings
from app.telemetry import open_telemetry
from gitlab_facade.client import Client
from gitlab_facade.throttle import Throttle
from tests.app.api import serving
from tests.support import eventually
from tests.world import World

_SERVE = """
import asyncio, sys
from app.main import create_app
from app.settings import Settings

async def serve() -> None:
    app = create_app(Settings(_env_file=None))
    async with app.router.lifespan_context(app):
        await app.state.services.database.read(lambda connection: connection.fetchval("SELECT 1"))

asyncio.run(serve())
ours = ("opentelemetry.sdk", "opentelemetry.exporter", "prometheus_client", "app.telemetry.")
loaded = [name for name in sys.modules if name.startswith(ours)]
print(",".join(sorted(loaded)))
"""


def test_a_service_without_telemetry_loads_none_of_it(database_url: str, tmp_path: Path) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "ORCHESTRATOR_DATABASE_URL": database_url,
        "ORCHESTRATOR_GITLAB_URL": "http://127.0.0.1:9",
        "ORCHESTRATOR_GITLAB_TOKEN": "not-a-secret",
        "ORCHESTRATOR_DATA_DIR": str(tmp_path),
    }
    ran = subprocess.run(
        [sys.executable, "-c", _SERVE],
        check=False,
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == ""


async def test_nothing_goes_around_requests_steps_and_calls(world: World) -> None:
    async with serving(world, engine=False) as api:
        engine = api.services.engine()
        assert engine._attempting is named_in_logs
        assert engine._tools.publisher is api.services.publisher
        assert "Observed" not in repr(api.app.user_middleware)
    session = Client("http://127.0.0.1:9", "token", timeouts=(1, 1), throttle=Throttle()).session
    assert {type(adapter).__name__ for adapter in session.adapters.values()} == {"HTTPAdapter"}


async def test_nothing_is_stored_either(world: World) -> None:
    saga = await world.start()
    async with world.running():

        async def waits() -> bool:
            return (await world.saga(saga.id)).state == "AWAIT_USER_CONDENSER_INPUT"

        await eventually(waits)
    await world.give(saga.id, "condenser")
    assert (await world.saga(saga.id)).traceparent is None


def test_only_a_setting_switches_it_on(tmp_path: Path) -> None:
    settings = Settings(
        database_url="postgresql://127.0.0.1/x", gitlab_url="http://127.0.0.1:9", gitlab_token="x", _env_file=None
    )
    assert open_telemetry(settings) is None
    metrics = open_telemetry(settings.model_copy(update={"metrics_listen": ("127.0.0.1", 0)}))
    assert metrics is not None
    assert metrics.metrics is not None

"""Who may read the metrics, and what is asked for when somebody does."""

import httpx
import pytest

from app.setting_types import Address
from app.startup import NotStartedError
from app.telemetry.endpoint import metrics_listener
from app.telemetry.standing import StandingCollector
from sagas.errors import RetryableError
from sagas.ids import SagaId
from sagas.models import SagaStatus
from sagas.store import standing
from tests.app.api import Api, serving
from tests.support import eventually
from tests.telemetry.told import TOKEN, Told
from tests.world import ENGINEER, World


class Hub:
    """Hears with a delay."""

    def lag_s(self) -> float:
        return 1.5


async def test_the_api_shows_its_metrics_to_whoever_has_the_token(api: Api) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer irina"},
    ):
        refused = await api.http.get("/metrics", headers=headers)
        assert refused.status_code == 401
        assert "orchestrator_" not in refused.text
    shown = await api.http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert shown.status_code == 200
    assert shown.headers["content-type"].startswith("text/plain")
    assert 'orchestrator_build_info{version="test"} 1.0' in shown.text


async def test_without_a_setting_there_are_no_metrics(world: World) -> None:
    async with serving(world, engine=False) as api:
        for headers in ({}, {"Authorization": f"Bearer {TOKEN}"}):
            assert (await api.http.get("/metrics", headers=headers)).status_code == 404


async def test_an_address_of_its_own_answers_metrics_and_nothing_else(told: Told) -> None:
    told.telemetry.metrics_token = None
    assert told.telemetry.metrics is not None
    async with (
        metrics_listener(Address("127.0.0.1", 0), told.telemetry, told.telemetry.metrics) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http,
    ):
        await eventually(lambda: http.get("/metrics"))
        assert "orchestrator_build_info" in (await http.get("/metrics")).text
        assert (await http.get("/graphql")).status_code == 404
        rebound = await http.get("/metrics", headers={"Host": "evil.example.com"})
        assert rebound.status_code == 400
        assert "orchestrator_" not in rebound.text
        with pytest.raises(NotStartedError, match=r"METRICS_LISTEN.*in use"):
            async with metrics_listener(Address("127.0.0.1", port), told.telemetry, told.telemetry.metrics):
                raise AssertionError("never reached")


async def test_sagas_outbox_and_pools_are_asked_for(told: Told, world: World) -> None:
    collector = StandingCollector(world.database, Hub())
    assert told.telemetry.metrics is not None
    told.telemetry.metrics.registry.register(collector)
    await world.start()
    await collector.refresh()
    assert told.value("orchestrator_database_up") == 1
    assert told.value("orchestrator_sagas", status="RUNNING") == 1
    assert told.value("orchestrator_sagas", status="FAILED") == 0
    assert told.value("orchestrator_due_sagas") == 1
    assert told.value("orchestrator_outbox_tasks") == 0
    assert told.value("orchestrator_hub_lag_seconds") == 1.5
    assert told.value("orchestrator_database_connections", pool="engine", state="idle") >= 1
    assert 'orchestrator_stuck_sagas{reason="NOT_TAKEN"} 0.0' in told.text
    world.forge.add_branch(world.project, "issue/2-another")
    await world.start("issue/2-another")
    await collector.refresh()
    assert told.value("orchestrator_sagas", status="RUNNING") == 1, "not asked again for some seconds"


async def test_while_the_database_is_away_nothing_is_told_that_was_true_once(told: Told, world: World) -> None:
    collector = StandingCollector(world.database, Hub())
    assert told.telemetry.metrics is not None
    told.telemetry.metrics.registry.register(collector)
    world.database.patience = 0.1
    world.database.pool.terminate()
    await collector.refresh()
    assert "orchestrator_database_up 0.0" in told.text
    assert "orchestrator_sagas" not in told.text


async def test_the_outbox_counts_what_waits_for_the_broker_and_not_what_waits_for_a_person(world: World) -> None:
    saga = await world.start()
    async with world.running():
        world.publisher.fail_next("publish", RetryableError("BROKER_UNAVAILABLE", "away"), times=100)
        await world.give(saga.id, "condenser")

        async def waits() -> bool:
            return (await world.database.read(standing.standing)).outbox.waiting == 1

        await eventually(waits)
        await world.service.pause(ENGINEER, SagaId(saga.id))
        await world.is_now(saga.id, SagaStatus.PAUSED)
        assert (await world.database.read(standing.standing)).outbox.waiting == 0

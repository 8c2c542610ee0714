"""Figures that are asked for rather than counted: sagas and outbox from the database, pools, and how the hub hears.

Read when somebody looks at the metrics, and at most every few seconds, so that looking costs the database little.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sagas.errors import RetryableError
from sagas.store import standing
from sagas.store.database import Database
from sagas.store.standing import Standing
from sagas.use_cases.stuck import StuckReason, count_stuck_sagas

FRESH_S = 5.0
PATIENCE_S = 3.0


class Hears(Protocol):
    """The hub, asked for its delay."""

    def lag_s(self) -> float:
        """Seconds since it last knew that it had missed nothing."""


class StandingCollector(Collector):
    """Tells what `refresh` read last; nothing of the database while that does not answer, rather than what was once."""

    def __init__(self, database: Database, hub: Hears) -> None:
        self._database = database
        self._hub = hub
        self._seen: Standing | None = None
        self._stuck: Mapping[StuckReason, int] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def refresh(self) -> None:
        """Read anew what is older than a few seconds."""
        async with self._reading:
            if time.monotonic() - self._read_at < FRESH_S:
                return
            try:
                async with asyncio.timeout(PATIENCE_S):
                    self._seen = await self._database.read(standing.standing)
                    self._stuck = await count_stuck_sagas(self._database)
            except (RetryableError, TimeoutError):
                self._seen = None
            self._read_at = time.monotonic()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families, as Prometheus takes them."""
        seen = self._seen
        yield GaugeMetricFamily(
            "orchestrator_database_up", "1 while the database answers.", value=float(seen is not None)
        )
        yield GaugeMetricFamily(
            "orchestrator_hub_lag_seconds",
            "Since live updates were last known to be complete; about 1 while all is well.",
            value=self._hub.lag_s(),
        )
        yield self._connections()
        if seen is not None:
            yield from _standing(seen)
            yield self._stuck_sagas()

    def _connections(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "orchestrator_database_connections",
            "Connections of this process. pool: engine (commands and steps) or reads (queries); state: busy or idle.",
            labels=("pool", "state"),
        )
        for (pool, state), count in self._database.connections().items():
            family.add_metric((pool, state), count)
        return family

    def _stuck_sagas(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "orchestrator_stuck_sagas", "What `orchestrator sagas stuck` lists, by reason.", labels=("reason",)
        )
        for reason, count in self._stuck.items():
            family.add_metric((reason.value,), count)
        return family


def _standing(seen: Standing) -> Iterator[GaugeMetricFamily]:
    live = GaugeMetricFamily("orchestrator_sagas", "Live sagas of all processes, by status.", labels=("status",))
    for status, count in seen.live.items():
        live.add_metric((status.value,), count)
    yield live
    yield GaugeMetricFamily("orchestrator_due_sagas", "Sagas that no engine has taken up yet.", value=seen.due.waiting)
    yield GaugeMetricFamily("orchestrator_due_age_seconds", "How long the first of them waits.", value=seen.due.age_s)
    yield GaugeMetricFamily("orchestrator_outbox_tasks", "Tasks not yet published.", value=seen.outbox.waiting)
    yield GaugeMetricFamily(
        "orchestrator_outbox_age_seconds", "How long the first of them waits.", value=seen.outbox.age_s
    )

"""What operators look at: metrics for Prometheus, traces for OpenTelemetry.

Off unless a setting asks for them, and free then: nothing below this module is imported, and nothing goes around
requests, steps or calls (a test holds it).
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.settings import Settings

if TYPE_CHECKING:
    from app.setting_types import Address
    from app.telemetry.metrics import Metrics
    from app.telemetry.spans import Tracer
    from app.telemetry.standing import StandingCollector


@dataclass(slots=True)
class Telemetry:
    """Where one process tells of itself; whoever tells something goes around the work, never into it."""

    metrics: "Metrics | None"
    tracer: "Tracer"
    metrics_token: str | None = field(default=None, repr=False)
    metrics_listen: "Address | None" = None
    metrics_open: bool = False
    """Whether the API shows the metrics to everybody who reaches it."""
    standing: "list[StandingCollector]" = field(default_factory=list)

    async def refresh(self) -> None:
        """Have what is asked for, rather than counted, read anew."""
        for collector in self.standing:
            await collector.refresh()


def open_telemetry(settings: Settings) -> Telemetry | None:
    """What the settings ask for; None: nothing."""
    wants_metrics = settings.metrics or settings.metrics_token is not None or settings.metrics_listen is not None
    if not wants_metrics and settings.traces_url is None:
        return None
    from app.telemetry.starting import start_telemetry  # noqa: PLC0415 - not even loaded while nobody asks

    return start_telemetry(settings, wants_metrics=wants_metrics)

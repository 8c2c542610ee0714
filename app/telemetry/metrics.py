"""The figures of one process for Prometheus, and where their labels come from: every label has few values, whoever asks.

`docs/operations.md` says what they are good for; a test holds its alerts to the names here.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

_FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
OTHER = "other"
LOST = "lost"
"""No answer came, or none was sent: the work was cut off."""


class Metrics:
    """Counts and times; read by `app.telemetry.endpoint`."""

    def __init__(self, version: str) -> None:
        # A time of birth beside every count would be twice the series for nothing.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library types all but this
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        build = self._gauge("orchestrator_build_info", "Always 1; the label tells the release.", "version")
        build.labels(version).set(1)

        # -- the API
        self.http_requests = self._counter(
            "orchestrator_http_requests_total", "HTTP requests answered.", "method", "route", "status"
        )
        self.http_seconds = self._histogram(
            "orchestrator_http_request_duration_seconds", "From the request to the end of its answer.", _FAST, "route"
        )
        self.operations = self._counter(
            "orchestrator_operations_total",
            "GraphQL operations ended. outcome: ok, errors (some of it failed), refused (it did not run at all).",
            "type",
            "operation",
            "outcome",
        )
        self.operation_seconds = self._histogram(
            "orchestrator_operation_duration_seconds", "Queries and mutations.", _FAST, "type", "operation"
        )
        self.operation_errors = self._counter(
            "orchestrator_operation_errors_total", "GraphQL errors by extensions.code.", "code"
        )
        self.websockets = self._gauge("orchestrator_websockets", "Websocket connections that are open.")
        self.websocket_operations = self._gauge(
            "orchestrator_websocket_operations", "Operations under way over websockets; nearly all are subscriptions."
        )
        self.streams = self._gauge(
            "orchestrator_event_streams", "Answers that go on: subscriptions over server-sent events and multipart."
        )
        self.subscriptions = self._gauge(
            "orchestrator_subscriptions",
            "Subscriptions executed; those that ask the same of a saga share one.",
            "field",
        )

        # -- the engine
        self.steps = self._counter(
            "orchestrator_steps_total",
            "Attempts of steps. outcome: advanced, stayed, retried, failed, undone, cancelled, lost.",
            "definition",
            "state",
            "outcome",
        )
        self.step_seconds = self._histogram(
            "orchestrator_step_duration_seconds", "Attempts of steps, without their recording.", _SLOW, "state"
        )
        self.step_errors = self._counter(
            "orchestrator_step_errors_total",
            "Attempts that ended with an error code. retried: yes (comes again by itself), no (the saga failed).",
            "code",
            "retried",
        )
        self.published = self._counter(
            "orchestrator_tasks_published_total",
            "Tasks handed to the broker. outcome: ok or the error's code.",
            "queue",
            "outcome",
        )

        # -- GitLab
        self.gitlab_requests = self._counter(
            "orchestrator_gitlab_requests_total",
            "Requests to GitLab. status: GitLab's, or lost where no answer came.",
            "method",
            "route",
            "status",
        )
        self.gitlab_seconds = self._histogram(
            "orchestrator_gitlab_request_duration_seconds", "Until GitLab's answer.", _FAST, "method", "route"
        )

    def _counter(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(name, help_, labels, registry=self.registry)

    def _gauge(self, name: str, help_: str, *labels: str) -> Gauge:
        return Gauge(name, help_, labels, registry=self.registry)

    def _histogram(self, name: str, help_: str, buckets: Iterable[float], *labels: str) -> Histogram:
        return Histogram(name, help_, labels, registry=self.registry, buckets=tuple(buckets))

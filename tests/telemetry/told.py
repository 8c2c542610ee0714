"""Telemetry whose spans end in memory, and the metrics as Prometheus would read them."""

from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest

from app.telemetry import Telemetry
from app.telemetry.metrics import Metrics
from app.telemetry.traces import OtelTracer

TOKEN = "the-collector-s-own-token"


@dataclass
class Told:
    """What was told so far."""

    telemetry: Telemetry
    exporter: InMemorySpanExporter

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    @property
    def text(self) -> str:
        assert self.telemetry.metrics is not None
        return generate_latest(self.telemetry.metrics.registry).decode()

    def value(self, name: str, **labels: str) -> float:
        """A figure; 0 for one that was never counted."""
        assert self.telemetry.metrics is not None
        return self.telemetry.metrics.registry.get_sample_value(name, labels) or 0.0


def telling_all() -> Told:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Told(Telemetry(Metrics("test"), OtelTracer(provider), metrics_token=TOKEN), exporter)


def trace_of(span: ReadableSpan) -> str:
    context = span.context
    assert context is not None
    return f"{context.trace_id:032x}"


def parent_of(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def id_of(span: ReadableSpan) -> str:
    context = span.context
    assert context is not None
    return f"{context.span_id:016x}"

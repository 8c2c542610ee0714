"""Traces by the OpenTelemetry SDK, sent over OTLP/HTTP in the background; loaded only where a setting asks for them."""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, get_current_span
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.telemetry.spans import Attributes, Kind

_KINDS = {
    Kind.INTERNAL: SpanKind.INTERNAL,
    Kind.SERVER: SpanKind.SERVER,
    Kind.CLIENT: SpanKind.CLIENT,
    Kind.PRODUCER: SpanKind.PRODUCER,
}
_propagator = TraceContextTextMapPropagator()


class OtelTracer:
    """Makes spans of one process, whose resource the variables OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES may name."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("balance_orchestrator")

    def begin(
        self,
        name: str,
        kind: Kind = Kind.INTERNAL,
        *,
        parent: str | None = None,
        linked_to: str | None = None,
        attributes: Attributes | None = None,
    ) -> "OtelSpanHandle":
        """A span below `parent`; a traceparent that is none counts as not given."""
        context = _propagator.extract({} if parent is None else {"traceparent": parent})
        links = [] if linked_to is None else _links(linked_to)
        return OtelSpanHandle(
            self._tracer.start_span(name, context, _KINDS[kind], attributes=dict(attributes or {}), links=links)
        )

    def close(self) -> None:
        """Send what is left; a collector that is away is waited for no longer than the exporter's own time-out."""
        self._provider.shutdown()


class OtelSpanHandle:
    """A span, and the traceparent by which others go on with its trace."""

    def __init__(self, span: OtelSpan) -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent: str | None = (
            f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
        )

    def rename(self, name: str) -> None:
        """Give it the name that is known only now."""
        self._span.update_name(name)

    def note(self, attributes: Attributes) -> None:
        """Add what is known only now."""
        if self._span.is_recording():
            self._span.set_attributes(dict(attributes))

    def fail(self, what: str) -> None:
        """Mark it as failed."""
        if self._span.is_recording():
            self._span.set_attribute("error.type", what)
            self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        """The work is done; a subscription's span ends long before the subscription."""
        if self._span.is_recording():
            self._span.end()


def open_traces(url: str, *, ratio: float, version: str) -> OtelTracer:
    """A tracer that sends to an OTLP/HTTP collector; `ratio`: the part of traces that is recorded, 0 to 1."""
    resource = Resource.create({SERVICE_NAME: "balance-orchestrator", SERVICE_VERSION: version})
    provider = TracerProvider(sampler=sampler(ratio), resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url)))
    return OtelTracer(provider)


def sampler(ratio: float) -> ParentBased:
    """Which traces are recorded: decided by their id, so that every process decides alike.

    A caller may say that his trace is not recorded; that it is, is for our ratio to say: callers may be anybody.
    """
    ours = TraceIdRatioBased(ratio)
    return ParentBased(root=ours, remote_parent_sampled=ours, remote_parent_not_sampled=ALWAYS_OFF)


def _links(traceparent: str) -> list[Link]:
    context = get_current_span(_propagator.extract({"traceparent": traceparent})).get_span_context()
    return [Link(context)] if context.is_valid else []

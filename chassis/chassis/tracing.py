"""OpenTelemetry traces that cross HTTP, the outbox and Kafka; off unless an endpoint is set."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, Protocol

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

QUEUED_SPANS_MAX: Final = 8_192
SHUTDOWN_MILLISECONDS_MAX: Final = 3_000
SCOPE: Final = "coffer"
TRACEPARENT: Final = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

_propagator: Final = TraceContextTextMapPropagator()
_provider: TracerProvider | None = None


class Traced(Protocol):
    """What carries a trace through a batch; its traceparent becomes that of its own span."""

    traceparent: str | None


def configure(service: str, instance: str, endpoint: str | None) -> None:
    """Sends spans to `endpoint` (OTLP over HTTP, such as http://collector:4318); without one, stays off."""
    if not endpoint:
        return
    # Imported only where spans are sent: it costs every other start a fifth of its time.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    use_processor(service, instance, BatchSpanProcessor(exporter, max_queue_size=QUEUED_SPANS_MAX))


def use_processor(service: str, instance: str, processor: SpanProcessor) -> None:
    """Turns tracing on with any way of taking the spans."""
    global _provider  # noqa: PLW0603  # one process, one place for its spans
    resource = Resource.create({"service.name": service, "service.instance.id": instance})
    _provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    _provider.add_span_processor(processor)


def provider() -> TracerProvider | None:
    """Where spans go; None while tracing is off."""
    return _provider


def shutdown() -> None:
    """Sends what is queued, for a bounded time, and turns tracing off."""
    global _provider  # noqa: PLW0603  # one process, one place for its spans
    if _provider is not None:
        _provider.force_flush(SHUTDOWN_MILLISECONDS_MAX)
        _provider.shutdown()
        _provider = None


def span(
    name: str, traceparent: str | None = None, *, attributes: Mapping[str, str | int] | None = None
) -> AbstractContextManager[str | None]:
    """A span below `traceparent`, or below the current one; yields the traceparent to hand on."""
    if _provider is None:
        return nullcontext(traceparent)
    return _span(_provider, name, traceparent, attributes)


@contextmanager
def _span(
    provider: TracerProvider, name: str, traceparent: str | None, attributes: Mapping[str, str | int] | None
) -> Iterator[str | None]:
    tracer = provider.get_tracer(SCOPE)
    with tracer.start_as_current_span(name, context=_context(traceparent), attributes=attributes) as started:
        yield _format(started)


def batch_span(name: str, records: Sequence[Traced]) -> AbstractContextManager[None]:
    """One span per record, each in its record's own trace; the records hand their span on."""
    if _provider is None:
        return nullcontext()
    return _batch_span(_provider, name, records)


@contextmanager
def _batch_span(provider: TracerProvider, name: str, records: Sequence[Traced]) -> Iterator[None]:
    tracer = provider.get_tracer(SCOPE)
    spans = [
        tracer.start_span(name, context=_context(record.traceparent), kind=trace.SpanKind.CONSUMER)
        for record in records
    ]
    for record, started in zip(records, spans, strict=True):
        record.traceparent = _format(started)
    try:
        yield
    except Exception as error:
        _mark_failed(spans, error)
        raise
    finally:
        for started in spans:
            started.end()


def _mark_failed(spans: Iterable[trace.Span], error: Exception) -> None:
    for started in spans:
        started.set_status(trace.StatusCode.ERROR, type(error).__name__)


def well_formed(traceparent: str | None) -> str | None:
    """A traceparent from outside, or None where it is not one (W3C Trace Context, version 00)."""
    return traceparent if traceparent and TRACEPARENT.fullmatch(traceparent) else None


def current_traceparent(incoming: str | None = None) -> str | None:
    """The current span's traceparent; while tracing is off, the incoming one unchanged."""
    if _provider is None:
        return incoming
    return _format(trace.get_current_span()) or incoming


def _context(traceparent: str | None) -> Context | None:
    """None means: below the current span, or a new trace."""
    return _propagator.extract({"traceparent": traceparent}) if traceparent else None


def _format(started: trace.Span) -> str | None:
    context = started.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

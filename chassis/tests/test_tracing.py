from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chassis import tracing

INCOMING = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@dataclass
class Carrier:
    traceparent: str | None


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.use_processor("credit", "credit-1", SimpleSpanProcessor(exporter))
    yield exporter
    tracing.shutdown()


def test_while_off_the_incoming_trace_goes_on_unchanged() -> None:
    assert tracing.provider() is None
    with tracing.span("decide", INCOMING) as traceparent:
        assert traceparent == INCOMING
    with tracing.span("decide") as nothing:
        assert nothing is None
    record = Carrier(INCOMING)
    with tracing.batch_span("decide", [record]):
        assert record.traceparent == INCOMING
    assert tracing.current_traceparent(INCOMING) == INCOMING


def test_without_an_endpoint_tracing_stays_off() -> None:
    tracing.configure("credit", "credit-1", "")
    assert tracing.provider() is None


def test_a_span_continues_the_incoming_trace(exported: InMemorySpanExporter) -> None:
    with tracing.span("decide", INCOMING, attributes={"records": 2}) as traceparent:
        assert traceparent is not None
        assert traceparent.split("-")[1] == TRACE
        assert traceparent != INCOMING
        assert tracing.current_traceparent() == traceparent
    (finished,) = exported.get_finished_spans()
    assert finished.name == "decide"
    assert finished.parent is not None
    assert f"{finished.parent.span_id:016x}" == "b7ad6b7169203331"
    assert finished.resource.attributes["service.name"] == "credit"


def test_each_record_of_a_batch_stays_in_its_own_trace(exported: InMemorySpanExporter) -> None:
    first, second = Carrier(INCOMING), Carrier(None)
    with tracing.batch_span("decide", [first, second]):
        assert first.traceparent is not None
        assert first.traceparent.split("-")[1] == TRACE
        assert second.traceparent is not None
        assert second.traceparent.split("-")[1] != TRACE
    assert len(exported.get_finished_spans()) == 2


def test_a_failed_batch_marks_its_spans(exported: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="bug"), tracing.batch_span("decide", [Carrier(None)]):
        raise ValueError("bug")
    (finished,) = exported.get_finished_spans()
    assert not finished.status.is_ok


def test_a_malformed_traceparent_begins_a_new_trace(exported: InMemorySpanExporter) -> None:
    with tracing.span("decide", "00-nonsense") as traceparent:
        assert traceparent is not None
        assert len(traceparent) == 55

"""The span of a batch: its links, its context on what is written, and what it says of failure."""

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.stream import MemoryBroker, MemorySink, MemorySource
from stream_scorer.adapters.otel.batch_spans import LINKS_MAX, STATE_BYTES_MAX, OtelTracing
from stream_scorer.core.records import OutputRecord, Record, progress_of
from stream_scorer.errors import BatchAborted
from stream_scorer.ports import Fetched
from stream_scorer.services.streaming.loop import Loop, LoopBounds, Work
from tests.doubles import SilentTelemetry

BOUNDS = LoopBounds(batch_records_max=100, linger_s=0, poll_s=0.1, write_attempts_max=1)


def parent(number: int) -> bytes:
    return f"00-{number:032x}-{number:016x}-01".encode()


def record(*headers: tuple[str, bytes], topic: str = "requests", offset: int = 0) -> Record:
    return Record(topic, 0, offset, None, b"{}", 0, headers)


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans: InMemorySpanExporter) -> OtelTracing:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return OtelTracing(provider.get_tracer("test"), group="g", dead_letters=["dead-letters"])


def span_of(records: Sequence[Record], tracing: OtelTracing, spans: InMemorySpanExporter) -> ReadableSpan:
    with tracing.batch("rank", records):
        pass
    [span] = spans.get_finished_spans()
    return span


def linked(span: ReadableSpan) -> list[int]:
    return [link.context.trace_id for link in span.links]


def test_a_batch_links_to_its_producers(tracing: OtelTracing, spans: InMemorySpanExporter) -> None:
    records = [record(("traceparent", parent(number))) for number in (1, 2, 1)]
    span = span_of([*records, record()], tracing, spans)
    assert linked(span) == [1, 2]
    assert span.parent is None
    assert span.context is not None
    assert span.context.trace_id not in (1, 2)


def test_span_attributes_follow_the_conventions(tracing: OtelTracing, spans: InMemorySpanExporter) -> None:
    span = span_of([record(), record()], tracing, spans)
    assert (span.name, span.kind) == ("process requests", SpanKind.CONSUMER)
    assert dict(span.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.batch.message_count": 2,
        "messaging.consumer.group.name": "g",
        "messaging.destination.name": "requests",
        "stream_scorer.ring_job": "rank",
        "stream_scorer.contexts": 0,
    }


def test_batches_of_several_topics_name_none(tracing: OtelTracing, spans: InMemorySpanExporter) -> None:
    span = span_of([record(), record(topic="acceptances")], tracing, spans)
    assert span.name == "process"
    assert "messaging.destination.name" not in (span.attributes or {})


def test_links_are_bounded_and_counted(tracing: OtelTracing, spans: InMemorySpanExporter) -> None:
    records = [record(("traceparent", parent(number))) for number in range(1, LINKS_MAX + 10)]
    span = span_of(records, tracing, spans)
    assert linked(span) == list(range(1, LINKS_MAX + 1))
    assert (span.attributes or {})["stream_scorer.contexts"] == LINKS_MAX + 9


@pytest.mark.parametrize("header", [b"", b"\xff\xfe", b"00-0-0-01", b"ff-" + parent(1)[3:], b"x" * 100_000])
def test_headers_of_no_context_link_nothing(header: bytes, tracing: OtelTracing, spans: InMemorySpanExporter) -> None:
    assert linked(span_of([record(("traceparent", header))], tracing, spans)) == []


@pytest.mark.parametrize(("state", "kept"), [(b"vendor=1", 1), (b"", 0), (b"v=" + b"1" * STATE_BYTES_MAX, 0)])
def test_short_tracestates_stay_with_links(
    state: bytes, kept: int, tracing: OtelTracing, spans: InMemorySpanExporter
) -> None:
    [link] = span_of([record(("traceparent", parent(1)), ("tracestate", state))], tracing, spans).links
    assert len(link.context.trace_state) == kept


def test_of_doubled_headers_the_first_counts(tracing: OtelTracing, spans: InMemorySpanExporter) -> None:
    headers = [("traceparent", parent(1)), ("traceparent", parent(2))]
    assert linked(span_of([record(*headers)], tracing, spans)) == [1]


def test_outputs_bear_the_batch_context(tracing: OtelTracing, spans: InMemorySpanExporter) -> None:
    came = (("traceparent", parent(7)), ("other", b"kept"), ("tracestate", b"vendor=1"))
    outputs = [OutputRecord(topic, b"k", b"v", came) for topic in ("rankings", "dead-letters")]
    with tracing.batch("rank", [record()]) as batch:
        ranking, letter = batch.marked(outputs)
    [span] = spans.get_finished_spans()
    assert span.context is not None
    about = span.context
    own = f"00-{about.trace_id:032x}-{about.span_id:016x}-{int(about.trace_flags):02x}".encode()
    assert ranking.headers == [("other", b"kept"), ("traceparent", own)]
    assert letter == outputs[1]


class Echo:
    """See Job: writes what it reads to another topic."""

    name = "echo"

    def process(self, fetched: Fetched) -> Work | None:
        if not fetched.records:
            return None
        outputs = [OutputRecord("echoes", each.key, each.value, each.headers) for each in fetched.records]
        return Work(fetched.records, outputs, [], progress_of(fetched.records))

    def written(self, work: Work) -> None: ...

    def aborted(self) -> None: ...

    def idle(self) -> bool:
        return True


def echoed(tracing: OtelTracing, *aborts: BatchAborted) -> MemoryBroker:
    broker = MemoryBroker(1, HandClock())
    broker.append(OutputRecord("requests", b"k", b"v", [("traceparent", parent(3))]))
    source, sink = MemorySource(broker, "g", ["requests"]), MemorySink(broker)
    sink.aborts_next = list(aborts)
    telemetry = SilentTelemetry()
    loop = Loop(Echo(), source, sink, bounds=BOUNDS, clock=broker.clock, telemetry=telemetry, tracing=tracing)
    loop.run(stopping=lambda: False, until_idle_s=1.0)
    return broker


def test_a_loop_traces_what_it_writes(tracing: OtelTracing, spans: InMemorySpanExporter) -> None:
    [echo] = echoed(tracing).topic("echoes")
    [span] = spans.get_finished_spans()
    assert linked(span) == [3]
    assert span.context is not None
    assert dict(echo.headers)["traceparent"].split(b"-")[1] == f"{span.context.trace_id:032x}".encode()


def test_an_aborted_batch_is_an_error(tracing: OtelTracing, spans: InMemorySpanExporter) -> None:
    assert echoed(tracing, BatchAborted("no luck")).topic("echoes") == []
    [span] = spans.get_finished_spans()
    assert (span.status.status_code, (span.attributes or {})["error.type"]) == (StatusCode.ERROR, "BatchAborted")

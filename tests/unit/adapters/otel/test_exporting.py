"""Spans reach a collector by OTLP; one that is away, refuses or hangs costs spans and nothing else."""

from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from threading import enumerate as enumerate_threads

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Link, SpanContext
from structlog.testing import capture_logs

from stream_scorer.adapters.otel import exporting as module
from stream_scorer.adapters.otel.exporting import WatchedExporter, exporting


class Collector:
    """Takes OTLP over HTTP, and keeps what it was sent; `status` is what it answers."""

    def __init__(self, status: int = 200) -> None:
        taken = self.taken = list[tuple[str, ExportTraceServiceRequest]]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                taken.append((self.path, ExportTraceServiceRequest.FromString(body)))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test depend on how fast this machine is."""
    monkeypatch.setattr(module, "TIMEOUT_S", 60.0)
    monkeypatch.setattr(module, "CLOSE_S", 60.0)


@pytest.fixture
def collector(request: pytest.FixtureRequest) -> Iterator[Collector]:
    made = Collector(getattr(request, "param", 200))
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.parametrize("path", ["", "/", "/v1/traces"])
def test_spans_reach_a_collector(path: str, collector: Collector) -> None:
    with exporting(collector.url + path, version="1.2", instance="rank-0") as tracer:
        tracer.start_span("process requests").end()
    [(place, sent)] = collector.taken
    [resource] = sent.resource_spans
    [span] = resource.scope_spans[0].spans
    about = {each.key: each.value.string_value for each in resource.resource.attributes}
    own = {"service.name": "stream-scorer", "service.instance.id": "rank-0"}
    assert (place, span.name) == ("/v1/traces", "process requests")
    assert {**own, "service.version": "1.2"}.items() <= about.items()


def test_the_environment_names_the_service(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "ring-eu")
    with exporting(collector.url, version="1.2") as tracer:
        tracer.start_span("process").end()
    attributes = collector.taken[0][1].resource_spans[0].resource.attributes
    assert "ring-eu" in [each.value.string_value for each in attributes if each.key == "service.name"]


@pytest.mark.parametrize("collector", [400], indirect=True)
def test_refused_spans_are_logged_once(collector: Collector) -> None:
    with capture_logs() as logs:
        for _ in range(2):
            with exporting(collector.url, version="1.2") as tracer:
                tracer.start_span("process").end()
    lost = [line for line in logs if line["event"] == "spans_lost"]
    assert [line["spans"] for line in lost] == [1, 1]
    assert "400" in lost[0]["reason"]


class Moody(SpanExporter):
    """Fails where told to."""

    def __init__(self, *results: SpanExportResult) -> None:
        self.results = list(results)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self.results.pop(0)


def test_losing_spans_is_said_once() -> None:
    bad, good = SpanExportResult.FAILURE, SpanExportResult.SUCCESS
    span = ReadableSpan("process")
    watched = WatchedExporter(Moody(bad, bad, good, good, bad))
    with capture_logs() as logs:
        for _ in range(5):
            watched.export([span])
    ours = [line for line in logs if line["event"].startswith("spans_")]
    assert [line["event"] for line in ours] == ["spans_lost", "spans_arrive_again", "spans_lost"]
    assert ours[1]["lost"] == 2


class Hanging(SpanExporter):
    """Takes spans only once it is released."""

    def __init__(self) -> None:
        self.released, self.taken = Event(), 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.released.wait(60)
        self.taken += len(spans)
        return SpanExportResult.SUCCESS


def test_a_hanging_collector_delays_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_S", 0.01)
    hanging = Hanging()
    with exporting("http://nowhere", version="1.2", exporter=hanging) as tracer:
        tracer.start_span("process").end()
    assert "last spans" in [thread.name for thread in enumerate_threads()]
    assert hanging.taken == 0
    hanging.released.set()


@pytest.mark.parametrize(("links", "kept"), [(0, 25), (6, 10), (96, 1)])
def test_links_that_wait_are_bounded(links: int, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINKS_WAITING_MAX", 100)
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
    hanging = Hanging()
    linked = [Link(SpanContext(trace_id=1, span_id=1, is_remote=True))] * links
    with capture_logs() as logs, exporting("http://nowhere", version="1.2", exporter=hanging) as tracer:
        for _ in range(40):
            tracer.start_span("process", links=linked).end()
        hanging.released.set()
    assert hanging.taken == kept
    ours = [line for line in logs if line["event"] == "spans_lost"]
    assert [line["reason"] for line in ours] == ["too many spans wait for the collector"]
    assert [line["lost"] for line in logs if line["event"] == "spans_arrive_again"] == [40 - kept]


@pytest.mark.parametrize(("size", "batch", "kept"), [("7", "512", 7), ("1000000", "1000000", 25)])
def test_the_environment_bounds_the_queue_within_ours(
    size: str, batch: str, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINKS_WAITING_MAX", 100)
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", size)
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batch)
    hanging = Hanging()
    with capture_logs() as logs, exporting("http://nowhere", version="1.2", exporter=hanging) as tracer:
        for _ in range(40):
            tracer.start_span("process").end()
        hanging.released.set()
    assert hanging.taken == kept
    assert [line["lost"] for line in logs if line["event"] == "spans_arrive_again"] == [40 - kept]


def test_spans_sent_make_room_for_others() -> None:
    watched = WatchedExporter(Moody(SpanExportResult.SUCCESS))
    span = ReadableSpan("process", links=[Link(INVALID_SPAN_CONTEXT)] * (module.LINKS_WAITING_MAX // 2))
    with capture_logs():
        assert [watched.takes(span, spans_max=9), watched.takes(span, spans_max=9)] == [True, False]
        watched.export([span])
        assert watched.takes(span, spans_max=9)


def test_a_failing_export_gives_its_room_back() -> None:
    watched = WatchedExporter(Moody())
    span = ReadableSpan("process", links=[Link(INVALID_SPAN_CONTEXT)] * (module.LINKS_WAITING_MAX // 2))
    assert watched.takes(span, spans_max=1)
    with pytest.raises(IndexError):
        watched.export([span])
    assert watched.takes(span, spans_max=1)

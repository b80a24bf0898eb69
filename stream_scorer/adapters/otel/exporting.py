"""Sends spans by OTLP over HTTP, from a bounded queue and a thread of its own.

What the settings do not say, the SDK takes from its own variables: OTEL_EXPORTER_OTLP_HEADERS and its like for the
exporter, OTEL_BSP_* for the queue (within our bound), OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME and
OTEL_RESOURCE_ATTRIBUTES.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock, Thread

import structlog
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Tracer

log = structlog.get_logger(__name__)

TIMEOUT_S = 5.0  # of one export, its repeats included
CLOSE_S = 6.0  # for the last spans, before a worker ends without them
# The SDK bounds its queue by spans, of which 2,048 with all their links took 0.2 GB: a link has 0.6 kB, or 1.4 kB with
# a long tracestate. So links are bounded, too, and both here: what the SDK's own queue drops, nobody counts.
LINKS_WAITING_MAX = 20_000
_SPAN_WEIGHT = 4  # a span without links is as large as so many
_PATH = "/v1/traces"
_UNNAMED = "unknown_service"
_exporter_log = logging.getLogger(trace_exporter.__name__)


@contextmanager
def exporting(
    endpoint: str, *, version: str, instance: str = "", exporter: SpanExporter | None = None
) -> Iterator[Tracer]:
    """Give a tracer whose spans go to `endpoint`, and send what is left at the end.

    Spans name the `version` that runs and the worker's `instance`; `exporter` takes the place of OTLP's.
    A collector that is away or refuses costs spans, which the log says once, and nothing else.
    """
    url = endpoint if endpoint.endswith(_PATH) else endpoint.rstrip("/") + _PATH
    reasons = _Reasons()
    _exporter_log.addFilter(reasons)
    sending = exporter or trace_exporter.OTLPSpanExporter(endpoint=url, timeout=TIMEOUT_S)
    provider = TracerProvider(resource=_resource(version, instance), shutdown_on_exit=False)
    watched = WatchedExporter(sending, reasons)
    provider.add_span_processor(BoundedSpans(watched))
    try:
        yield provider.get_tracer("stream_scorer", version)
    finally:
        # The SDK waits for half a minute for a collector that is away, and would hold up a worker's end.
        closing = Thread(target=provider.shutdown, name="last spans", daemon=True)
        closing.start()
        closing.join(CLOSE_S)
        _exporter_log.removeFilter(reasons)


def _resource(version: str, instance: str) -> Resource:
    given = Resource.create()
    own: dict[str, str] = {SERVICE_VERSION: version}
    if str(given.attributes.get(SERVICE_NAME, _UNNAMED)).startswith(_UNNAMED):
        own[SERVICE_NAME] = "stream-scorer"
    if instance:
        own[SERVICE_INSTANCE_ID] = instance
    return given.merge(Resource(own))


class _Reasons(logging.Filter):
    """Keeps the last line of the exporter's log, which says the same at every try, and lets none of them through."""

    last = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a line."""
        self.last = record.getMessage()
        return False


class WatchedExporter(SpanExporter):
    """Logs once that spans are lost, and once that they arrive again."""

    def __init__(self, inner: SpanExporter, reasons: _Reasons | None = None) -> None:
        """Send by `inner`; `reasons` has what it logged last."""
        self._inner, self._reasons = inner, reasons or _Reasons()
        self._lost = self._spans = self._links = 0
        self._lock = Lock()  # spans end in the loop and are exported in a thread

    def takes(self, span: ReadableSpan, *, spans_max: int) -> bool:
        """Return whether a span may wait for `export`; where too many spans or links wait already, it is lost."""
        with self._lock:
            spans, links = self._spans + 1, self._links + _weight(span)
            if spans <= spans_max and links <= LINKS_WAITING_MAX:
                self._spans, self._links = spans, links
                return True
            self._lose(1, "too many spans wait for the collector")
            return False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See SpanExporter.export."""
        try:
            result = self._inner.export(spans)
        finally:
            with self._lock:
                self._spans -= len(spans)
                self._links -= sum(map(_weight, spans))
        with self._lock:
            if result is not SpanExportResult.SUCCESS:
                self._lose(len(spans), self._reasons.last)
            elif self._lost:
                log.info("spans_arrive_again", lost=self._lost)
                self._lost = 0
        return result

    def _lose(self, spans: int, reason: str) -> None:
        if not self._lost:
            log.warning("spans_lost", spans=spans, reason=reason, effect="only spans are lost")
        self._lost += spans

    def shutdown(self) -> None:
        """See SpanExporter.shutdown."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """See SpanExporter.force_flush."""
        return self._inner.force_flush(timeout_millis)


class BoundedSpans(BatchSpanProcessor):
    """The SDK's queue, of which a span beyond the bound is refused, and counted as lost."""

    def __init__(self, exporter: WatchedExporter) -> None:
        """Queue for `exporter`, which counts what waits for it."""
        self._exporter = exporter
        size = self._default_max_queue_size()  # type: ignore[no-untyped-call]  # as the SDK reads the environment
        self._spans_max = min(size, LINKS_WAITING_MAX // _SPAN_WEIGHT)
        batch = self._default_max_export_batch_size()  # type: ignore[no-untyped-call]
        batch_max = min(batch, self._spans_max)
        super().__init__(exporter, max_queue_size=self._spans_max, max_export_batch_size=batch_max)

    def on_end(self, span: ReadableSpan) -> None:
        """See SpanProcessor.on_end."""
        sampled = span.context is not None and span.context.trace_flags.sampled
        if sampled and self._exporter.takes(span, spans_max=self._spans_max):
            super().on_end(span)


def _weight(span: ReadableSpan) -> int:
    return _SPAN_WEIGHT + len(span.links)

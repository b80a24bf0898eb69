"""A span for each batch, after OpenTelemetry's conventions for messaging.

They are at https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/. A batch has records of many traces,
so its span is the root of a trace of its own and links to the spans in which the records were made. What it writes are
new messages, made in this span, so its context takes the place of the one that came with the request.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec.structs import replace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from stream_scorer.core.records import OutputRecord, Record
from stream_scorer.ports import NO_TRACING, BatchSpan

LINKS_MAX = 128  # the SDK's own default: links beyond it would be dropped, after they were made
STATE_BYTES_MAX = 512  # what W3C asks everybody to carry of a tracestate

_PARENT, _STATE = "traceparent", "tracestate"
_propagator = TraceContextTextMapPropagator()


class OtelTracing:
    """See Tracing."""

    def __init__(self, tracer: Tracer, *, group: str, dead_letters: Collection[str]) -> None:
        """Make spans by `tracer` for a member of `group`; records on the topics of `dead_letters` stay unmarked."""
        self._tracer, self._group, self._dead_letters = tracer, group, frozenset(dead_letters)

    @contextmanager
    def batch(self, job: str, records: Sequence[Record]) -> Iterator[BatchSpan]:
        """See Tracing.batch."""
        if not records:
            yield NO_TRACING
            return
        contexts = _contexts_of(records)
        links = [*_links(contexts[:LINKS_MAX])]
        about: dict[str, str | int] = {"stream_scorer.ring_job": job, "stream_scorer.contexts": len(contexts)}
        topics = {record.topic for record in records}
        only = topics.pop() if len(topics) == 1 else None
        with self._tracer.start_as_current_span(
            "process" if only is None else f"process {only}",
            context=Context(),
            kind=SpanKind.CONSUMER,
            attributes={**self._attributes(len(records), only), **about},
            links=links,
        ) as span:
            yield _OtelBatchSpan(span, self._dead_letters)

    def _attributes(self, count: int, topic: str | None) -> dict[str, str | int]:
        destination = {} if topic is None else {"messaging.destination.name": topic}
        return {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.batch.message_count": count,
            "messaging.consumer.group.name": self._group,
            **destination,
        }


class _OtelBatchSpan:
    """See BatchSpan."""

    def __init__(self, span: Span, dead_letters: Collection[str]) -> None:
        self._span, self._dead_letters = span, dead_letters

    def marked(self, outputs: Sequence[OutputRecord]) -> Sequence[OutputRecord]:
        """See BatchSpan.marked."""
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, set_span_in_context(self._span, Context()))
        own = [(name, value.encode()) for name, value in carrier.items()]
        return [each if each.topic in self._dead_letters else _marked(each, own) for each in outputs]

    def failed(self, error: str) -> None:
        """See BatchSpan.failed."""
        self._span.set_attribute("error.type", error)
        self._span.set_status(StatusCode.ERROR)


def _marked(output: OutputRecord, own: Sequence[tuple[str, bytes]]) -> OutputRecord:
    others = [header for header in output.headers if header[0] not in (_PARENT, _STATE)]
    return replace(output, headers=[*others, *own])


def _contexts_of(records: Sequence[Record]) -> list[tuple[bytes, bytes]]:
    """Return the different contexts in the records' headers; all rankings of one batch, for one, share theirs."""
    contexts: dict[tuple[bytes, bytes], None] = {}
    for record in records:
        if record.headers:
            headers = dict(reversed(record.headers))  # of a header that is there twice the first one counts
            if (parent := headers.get(_PARENT)) is not None:
                contexts[parent, headers.get(_STATE, b"")] = None
    return list(contexts)


def _links(contexts: Sequence[tuple[bytes, bytes]]) -> Iterator[Link]:
    for parent, state in contexts:
        carrier: Mapping[str, str] = {_PARENT: parent.decode("latin-1")}
        if 0 < len(state) <= STATE_BYTES_MAX:
            carrier = {**carrier, _STATE: state.decode("latin-1")}
        context = get_current_span(_propagator.extract(carrier, Context())).get_span_context()
        if context.is_valid:  # anybody may write anything into a header
            yield Link(context)

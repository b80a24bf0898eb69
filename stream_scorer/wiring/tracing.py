"""Opens what makes spans of a job's batches, where a collector is set."""

from collections.abc import Iterator
from contextlib import contextmanager

from stream_scorer import __version__
from stream_scorer.ports import NO_TRACING, Tracing
from stream_scorer.settings import Settings


@contextmanager
def batch_tracing(settings: Settings, group: str) -> Iterator[Tracing]:
    """Give the tracing of a member of `group`: none, and nothing of OpenTelemetry imported, without an endpoint."""
    endpoint = settings.tracing.endpoint
    if endpoint is None:
        yield NO_TRACING
        return
    from stream_scorer.adapters.otel.batch_spans import OtelTracing
    from stream_scorer.adapters.otel.exporting import exporting

    with exporting(endpoint, version=__version__, instance=settings.loop.instance or "") as tracer:
        yield OtelTracing(tracer, group=group, dead_letters=[settings.topics.dead_letters])

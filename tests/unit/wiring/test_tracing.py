"""Which jobs make spans: those that are given a collector."""

from stream_scorer.adapters.otel.batch_spans import OtelTracing
from stream_scorer.ports import NO_TRACING
from stream_scorer.settings import Settings, TracingSettings
from stream_scorer.wiring.tracing import batch_tracing


def test_without_a_collector_nothing_is_traced() -> None:
    with batch_tracing(Settings(), "g") as tracing:
        assert tracing is NO_TRACING


def test_a_collector_turns_tracing_on() -> None:
    settings = Settings(tracing=TracingSettings(endpoint="http://127.0.0.1:1"))
    with batch_tracing(settings, "g") as tracing:
        assert isinstance(tracing, OtelTracing)

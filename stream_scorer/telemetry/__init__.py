"""The metrics of Prometheus: ours, and those that OpenTelemetry names."""

from stream_scorer.telemetry.prometheus import PrometheusTelemetry, serve_metrics

__all__ = ["PrometheusTelemetry", "serve_metrics"]

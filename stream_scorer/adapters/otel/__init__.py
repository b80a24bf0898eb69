"""Spans of OpenTelemetry, made and sent by its own SDK."""

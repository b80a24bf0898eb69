"""Measures the ranker beside a bare loop."""

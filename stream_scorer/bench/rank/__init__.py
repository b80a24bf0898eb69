"""The ranker beside a bare loop."""

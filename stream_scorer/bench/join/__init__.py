"""Measures what the join costs."""

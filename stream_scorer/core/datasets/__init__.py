"""Labelled examples as arrays to learn from."""

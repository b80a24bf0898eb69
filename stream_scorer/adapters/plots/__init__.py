"""Plots as PNG and SVG, and the page of an evaluation."""

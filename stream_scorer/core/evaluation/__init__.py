"""Measures of models, rankings and policies."""

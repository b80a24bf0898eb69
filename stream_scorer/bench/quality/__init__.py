"""Measures how good a training by default options is, beside references, in simulated worlds whose odds are known."""

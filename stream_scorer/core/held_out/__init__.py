"""Judges rankings by held-out acceptances, in the same way for `train`, its search and `evaluate`."""

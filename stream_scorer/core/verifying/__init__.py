"""Judges what became of every record of the ring."""

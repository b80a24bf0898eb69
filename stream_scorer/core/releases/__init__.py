"""Releases: towers and offer vectors under one id, what refuses one, and changes of its offers."""

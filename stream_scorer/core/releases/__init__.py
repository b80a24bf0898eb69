"""Releases: towers and offer vectors under a shared id, the gate that refuses them, and changes of their offers."""

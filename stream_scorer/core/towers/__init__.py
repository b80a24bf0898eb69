"""Towers that serve: one forward pass, whatever engine trained them."""

"""Towers as they serve: the forward pass is the same whichever engine trained them."""

"""Training of towers: needs the `train` extra (torch)."""

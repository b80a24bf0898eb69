"""A simulated shop whose acceptance odds are known."""

"""Pure functions of data: no I/O, no clock, and no randomness but from a seed or generator passed in."""

"""The jobs of the ring: each a loop over ports around a pure function of the core."""

"""How good a default training is on worlds whose odds are known, beside references."""

"""Trains towers in H2O, and reads them through its interface. Needs the extra `h2o`."""

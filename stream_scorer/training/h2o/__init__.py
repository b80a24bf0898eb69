"""Trains towers in H2O and reads them through H2O's interface. Needs the extra `h2o`."""

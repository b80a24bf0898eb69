"""Trains towers with torch, and exports them to what serves. Needs the extra `train`."""

"""What the live page shows: read within bounds, by members of no group, and never written."""

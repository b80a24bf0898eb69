"""The re-ranker, a second stage behind the towers: it reads both sides of a pair at once, in numpy alone."""

"""A batch of requests to rankings."""

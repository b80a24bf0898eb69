"""Real-time two-tower ranking on Kafka and Redis."""

__version__ = "0.1.0"

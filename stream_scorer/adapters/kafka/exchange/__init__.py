"""Kafka for programs that send requests and wait for their rankings."""

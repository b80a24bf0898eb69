"""What talks to the outside: Kafka, Redis, files, the clock; and the memory twin of each port."""

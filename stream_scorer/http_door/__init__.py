"""The HTTP door: requests and acceptances in, rankings out, for programs that have no client of Kafka."""

"""The jobs that follow topics."""

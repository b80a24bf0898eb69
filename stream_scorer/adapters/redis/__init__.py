"""The store of releases in Redis or Valkey."""

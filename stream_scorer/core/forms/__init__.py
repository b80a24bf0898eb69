"""Other forms of records than plain JSON, to JSON and back, so that one decoder judges every message."""

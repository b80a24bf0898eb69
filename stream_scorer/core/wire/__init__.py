"""Records as they lie on topics: strict reading, and writing."""

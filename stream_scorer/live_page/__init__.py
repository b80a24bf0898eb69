"""The live page: the ring for people, in a browser; it only reads."""

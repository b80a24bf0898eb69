"""The demo: simulated customers around the real ring. Like the command line, it sees everything and nothing sees it."""

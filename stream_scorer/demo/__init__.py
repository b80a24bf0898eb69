"""The demo: simulated customers around the real ring. It may import every room, and none imports it."""

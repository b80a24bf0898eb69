"""The two towers as torch modules, and what they read: the architecture of `core.towers.tower`, to be trained."""

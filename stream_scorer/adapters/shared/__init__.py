"""Releases in files that the processes of one machine map into their memory, so that they hold one copy in all."""

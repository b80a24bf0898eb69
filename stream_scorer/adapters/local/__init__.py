"""This machine: its clock, processes and servers of our own."""

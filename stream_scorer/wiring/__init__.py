"""Builds the jobs: with cli, demo and bench the only rooms that see both adapters and services."""

"""Builds the jobs. Only this package, cli, demo and bench import both adapters and services."""

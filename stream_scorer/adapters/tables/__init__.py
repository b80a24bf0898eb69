"""Reads tables in CSV, JSON lines and Parquet, all by the same layouts and the same table of types (docs/tables.md)."""

"""The reader of people's tables: CSV, JSON lines and Parquet, by one layout and one table of types (docs/tables.md)."""

"""A Schema Registry, and the forms of records whose schemas lie there (extra registry)."""

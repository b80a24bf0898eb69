"""Iceberg tables of a catalog in a SQLite file, with their data in a folder beside it."""

from pathlib import Path

from pyiceberg.table import Table

from stream_scorer.adapters.iceberg.places import TablePlace


def table_in(folder: Path) -> str:
    """Return the place of a table that is not there yet."""
    return f"iceberg://lake/shop.labels?type=sql&uri=sqlite:///{folder}/catalog.db&warehouse=file://{folder}/lake"


def opened(folder: Path) -> Table:
    """Return that table as another tool opens it."""
    place = TablePlace.parse(table_in(folder))
    return place.open().load_table(place.identifier)

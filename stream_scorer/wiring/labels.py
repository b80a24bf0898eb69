"""Opens what labels are kept in: files in a folder or a bucket, or an Iceberg table."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stream_scorer.adapters.files.example_files import ExampleFiles
from stream_scorer.adapters.files.example_places import examples_at
from stream_scorer.errors import UsageError

if TYPE_CHECKING:
    from stream_scorer.adapters.iceberg.buffer import IcebergBuffer
    from stream_scorer.adapters.parquet.buffer import ParquetBuffer

_TABLE = "iceberg://"


def is_table(place: str) -> bool:
    """Return whether a place of labels names an Iceberg table."""
    return place.startswith(_TABLE)


def training_buffer(place: str) -> "ParquetBuffer | IcebergBuffer":
    """Open a training buffer. Raises UsageError or TransientError for a place that cannot be opened."""
    if is_table(place):
        _check_installed()
        from stream_scorer.adapters.iceberg.buffer import IcebergBuffer

        return IcebergBuffer.open(place)
    from stream_scorer.adapters.parquet.buffer import ParquetBuffer

    return ParquetBuffer.open(place)


@contextmanager
def labels_at(place: str) -> Iterator[ExampleFiles]:
    """Open labelled examples of a file, a folder, a bucket or a table.

    What is not on this machine is copied to it first, since it is read several times; the copy is removed on leaving.
    Raises UsageError for a place without examples, TransientError for a place that cannot be reached.
    """
    if not is_table(place):
        with examples_at(place) as examples:
            yield examples
        return
    _check_installed()
    from stream_scorer.adapters.iceberg.labels import labels_in_table

    with labels_in_table(place) as examples:
        yield examples


def _check_installed() -> None:
    if importlib.util.find_spec("pyiceberg") is None:
        raise UsageError("an Iceberg table needs pyiceberg: pip install '.[iceberg]'")

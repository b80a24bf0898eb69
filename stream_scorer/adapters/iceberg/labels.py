"""The labels in an Iceberg table as Parquet files on this machine, since a training reads them several times."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from stream_scorer.adapters.files.example_files import ExampleFiles
from stream_scorer.adapters.iceberg.buffer import IcebergBuffer
from stream_scorer.adapters.parquet.rows import in_our_types
from stream_scorer.errors import UsageError

GROUP_ROWS_MIN = 50_000


@contextmanager
def labels_in_table(place: str) -> Iterator[ExampleFiles]:
    """Copy the rows of the current snapshot, and remove the copy on leaving.

    Raises UsageError where there is no table or no row, TransientError where the catalog cannot be reached.
    """
    with TemporaryDirectory(prefix="examples-") as folder:
        copy = Path(folder) / "labels.parquet"
        if not _copy(IcebergBuffer.open(place), place, copy):
            raise UsageError(f"no labelled examples in {place.partition('?')[0]}: the buffer fills the table")
        yield ExampleFiles.at(copy)


def _copy(buffer: IcebergBuffer, place: str, into: Path) -> int:
    """Write the rows to a file and return how many there are; a file without rows is not written."""
    rows, writer = 0, None
    for table in _groups(buffer.tables()):
        ours = in_our_types(place, table)
        writer = writer or pq.ParquetWriter(into, ours.schema, compression="zstd")
        writer.write_table(ours)
        rows += ours.num_rows
    if writer is not None:
        writer.close()
    return rows


def _groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield rows by the group: those of small files would make a Parquet file of small groups, slow to read."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(each.num_rows for each in waiting) >= GROUP_ROWS_MIN:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)

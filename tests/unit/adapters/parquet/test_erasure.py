"""Customers who are forgotten while files are written, compacted and read."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

from stream_scorer.adapters.files.folders import Folder
from stream_scorer.adapters.parquet.buffer import ParquetBuffer
from stream_scorer.adapters.parquet.compaction import compact
from stream_scorer.adapters.parquet.erasure import PATH, read_erasures
from stream_scorer.core.buffer.buffer_files import Chunk
from stream_scorer.core.buffer.examples import ExampleRow
from tests.unit.adapters.parquet.test_buffer import Killed, MortalFolder, P, row
from tests.unit.adapters.parquet.test_compaction import rewrite


def theirs(offset: int) -> ExampleRow:
    return row(offset, 0, city="Atlantis")._replace(customer_id="gone")


def rows() -> list[ExampleRow]:
    return [theirs(0), row(1, 0, city="Rome"), theirs(2), row(3, 1, city="Oslo")]


def requests(folder: Folder) -> list[str]:
    return sorted(one.request_id for batch in ParquetBuffer(folder).read() for one in batch)


class Interrupted(Folder):
    """A folder in which something else happens right before the n-th file of rows is written."""

    def __init__(self, happens: Callable[[], object], before: int = 0) -> None:
        self.filesystem = fs._MockFileSystem()
        super().__init__(self.filesystem, "labels")
        self._happens, self._left = happens, before

    def write(self, path: str, data: bytes) -> None:
        if path != PATH:
            self._left -= 1
            if self._left == -1:
                self._happens()
        super().write(path, data)


def test_an_erasure_reaches_chunks_being_written() -> None:
    folder = Interrupted(lambda: ParquetBuffer(folder).erase("gone", 10), before=1)
    ParquetBuffer(folder).write([Chunk(P, 0, 4, rows())])
    assert requests(folder) == ["r1", "r3"]


def test_an_erasure_reaches_files_being_compacted() -> None:
    folder = Interrupted(lambda: ParquetBuffer(folder).erase("gone", 10), before=5)
    for offset in range(5):
        ParquetBuffer(folder).write([Chunk(P, offset, offset + 1, [theirs(offset) if offset % 2 else row(offset)])])
    compact(folder)
    assert requests(folder) == ["r0", "r2", "r4"]


def test_nothing_of_an_erased_customer_stays() -> None:
    folder = MortalFolder(fs._MockFileSystem(), "labels")
    ParquetBuffer(folder).write([Chunk(P, 0, 3, rows()[:3])])
    ParquetBuffer(folder).erase("gone", 10)
    (path,) = (path for path in folder.paths() if path != PATH)
    column = pq.read_table(pa.BufferReader(folder.read(path)))["customer.city"]
    assert column.chunk(0).dictionary.to_pylist() == ["Rome"]


def test_the_list_names_nobody() -> None:
    folder = MortalFolder(fs._MockFileSystem(), "labels")
    ParquetBuffer(folder).erase("gone", 10)
    assert b"gone" not in folder.read(PATH).to_pybytes()
    assert read_erasures(folder).cover("gone", 10)
    assert not read_erasures(folder).cover("gone", 11)


@given(st.integers(0, 6))
def test_a_killed_erasure_can_be_repeated(kill: int) -> None:
    folder = MortalFolder(fs._MockFileSystem(), "labels")
    for offset in range(4):
        ParquetBuffer(folder).write([Chunk(P, offset, offset + 1, [theirs(offset) if offset % 2 else row(offset)])])
    folder.effects_left = kill
    try:
        ParquetBuffer(folder).erase("gone", 10)
    except Killed:
        folder.effects_left = 10**9
        ParquetBuffer(folder).erase("gone", 10)
    assert requests(folder) == ["r0", "r2"]


def test_erasing_reads_customers_of_another_type() -> None:
    folder = Folder(fs._MockFileSystem(), "labels")
    buffer = ParquetBuffer(folder)
    buffer.write([Chunk(P, 0, 4, rows())])
    path = next(path for path in folder.paths() if path.endswith(".parquet"))
    rewrite(folder, path, "customer_id", lambda values: values.cast(pa.binary()))
    assert sum(buffer.erase("gone", 10**15).values()) == 2
    assert "gone" not in str(folder.table(path).to_pylist())

"""Parquet files that are killed, crossed and read by others' tools."""

from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

from stream_scorer.adapters.files.folders import Entry, Folder
from stream_scorer.adapters.parquet.buffer import ParquetBuffer
from stream_scorer.adapters.parquet.compaction import compact
from stream_scorer.adapters.parquet.rows import to_table
from stream_scorer.core.buffer.buffer_files import Chunk, parse
from stream_scorer.core.buffer.examples import ExampleRow
from stream_scorer.core.records import Partition
from stream_scorer.errors import UsageError

P = Partition("training-labels", 0)
DAY_MS = 86_400_000


class Killed(BaseException):
    """The process ends here."""


class MortalFolder(Folder):
    """A folder whose process is killed before the n-th effect."""

    effects_left = 10**9

    def write(self, path: str, data: bytes) -> None:
        self._live()
        super().write(path, data)

    def delete(self, paths: object) -> None:
        for path in list(paths):  # type: ignore[call-overload]
            self._live()
            super().delete([path])

    def _live(self) -> None:
        self.effects_left -= 1
        if self.effects_left < 0:
            raise Killed


class RecordingFolder(Folder):
    """A folder that notes what is listed of it: "" is the whole."""

    def __init__(self) -> None:
        super().__init__(fs._MockFileSystem(), "labels")
        self.listed: list[str] = []

    def entries(self, below: str = "") -> list[Entry]:
        self.listed.append(below)
        return super().entries(below)


def row(offset: int, day: int = 0, **features: Any) -> ExampleRow:
    time_ms = day * DAY_MS
    return ExampleRow(
        f"e{offset}",
        1,
        f"r{offset}",
        "c",
        "o",
        1,
        "accepted",
        features,
        {},
        1,
        0.5,
        1.0,
        "rel",
        time_ms,
        time_ms,
        "shown",
    )


def chunk(first: int, following: int, days: int) -> Chunk:
    return Chunk(P, first, following, [row(offset, offset % days) for offset in range(first, following)])


def fill(buffer: ParquetBuffer, end: int, length: int, days: int) -> None:
    """Go on from where the files end, in chunks of this length, as a member that has just begun does."""
    position = buffer.positions([P])[P] or 0
    for first in range(position, end, length):
        assert buffer.write([chunk(first, min(first + length, end), days)]) == []


@given(st.integers(0, 25), st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))
def test_a_kill_anywhere_keeps_rows_once(kill: int, length: int, later_length: int, days: int) -> None:
    folder = MortalFolder(fs._MockFileSystem(), "labels")
    folder.effects_left = kill
    try:
        fill(ParquetBuffer(folder), 20, length, days)
    except Killed:
        folder.effects_left = 10**9
        fill(ParquetBuffer(folder), 20, later_length, days)
    rows = [one.request_id for batch in ParquetBuffer(folder).read() for one in batch]
    assert sorted(rows) == sorted(f"r{offset}" for offset in range(20))


def test_taking_over_removes_a_torn_chunk() -> None:
    folder = MortalFolder(fs._MockFileSystem(), "labels")
    folder.effects_left = 1
    with pytest.raises(Killed):
        ParquetBuffer(folder).write([chunk(0, 4, 2)])
    folder.effects_left = 10**9
    assert ParquetBuffer(folder).ends([P]) == {P: 0}
    assert len(folder.paths()) == 1
    assert ParquetBuffer(folder).positions([P]) == {P: 0}
    assert folder.paths() == []


def test_a_woken_member_cannot_double_rows(tmp_path: Path) -> None:
    successor = ParquetBuffer.open(str(tmp_path))

    class Frozen(MortalFolder):
        def write(self, path: str, data: bytes) -> None:
            # while this member stood still between looking and writing, the other took over and went on
            fill(successor, 20, 7, 1)
            super().write(path, data)

    assert ParquetBuffer(Frozen(fs.LocalFileSystem(), str(tmp_path))).write([chunk(0, 10, 2)]) == [P]
    assert sorted(one.request_id for batch in successor.read() for one in batch) == sorted(
        f"r{offset}" for offset in range(20)
    )


def test_a_flush_lists_its_days_alone() -> None:
    folder = RecordingFolder()
    fill(ParquetBuffer(folder), 30, 3, 10)
    buffer = ParquetBuffer(folder)
    assert buffer.positions([P]) == {P: 30}
    folder.listed.clear()
    assert buffer.write([chunk(30, 34, 1)]) == []
    assert buffer.write([Chunk(P, 34, 35, [row(34, 3)])]) == []
    assert folder.listed == ["day=1970-01-01"] * 2 + ["day=1970-01-04"] * 2


@pytest.mark.parametrize("late", [(0, 4), (6, 8)], ids=str)
def test_a_flush_follows_the_last_chunk(late: tuple[int, int]) -> None:
    buffer = ParquetBuffer(RecordingFolder())
    assert buffer.write([chunk(0, 5, 1)]) == []
    assert buffer.write([chunk(*late, 1)]) == [P]
    assert buffer.ends([P]) == {P: 5}


@pytest.mark.parametrize("compacted", [False, True])
def test_a_stale_member_sees_who_went_on(*, compacted: bool) -> None:
    folder = RecordingFolder()
    fill(ParquetBuffer(folder), 10, 10, 1)
    stale = ParquetBuffer(folder)
    stale.positions([P])
    fill(ParquetBuffer(folder), 18, 2, 1)
    ParquetBuffer(folder).write([Chunk(P, 18, 20, [row(18, 7), row(19, 7)])])
    if compacted:  # all but the large chunk that the stale member knows of
        compact(folder, rows_max=8)
    assert stale.write([chunk(10, 13, 1)]) == [P]
    assert sorted(one.request_id for batch in ParquetBuffer(folder).read() for one in batch) == sorted(
        f"r{offset}" for offset in range(20)
    )


def test_an_erasure_meanwhile_keeps_its_rows_out() -> None:
    folder = RecordingFolder()
    buffer = ParquetBuffer(folder)
    buffer.positions([P])
    assert buffer.write([chunk(0, 4, 2)]) == []
    ParquetBuffer(folder).erase("c", DAY_MS)
    folder.listed.clear()
    assert buffer.write([chunk(4, 6, 2)]) == []
    assert next(buffer.read()) == []
    assert buffer.ends([P]) == {P: 6}
    assert "" not in folder.listed[:4]


def test_a_half_written_file_has_another_name(tmp_path: Path) -> None:
    folder = Folder.open(str(tmp_path))
    folder.write("day=1970-01-01/x.parquet", b"whole")
    (tmp_path / "day=1970-01-01" / ".x.parquet.tmp").write_bytes(b"hal")
    assert folder.read("day=1970-01-01/x.parquet").to_pybytes() == b"whole"
    assert parse("day=1970-01-01/.x.parquet.tmp") is None


def test_others_read_typed_columns(tmp_path: Path) -> None:
    rows = [row(0, age=30.0, city="Rome", vip=True, bag=["a"], vector=[1.0]), row(1, 1, age=None, city="Oslo")]
    ParquetBuffer.open(str(tmp_path)).write([Chunk(P, 0, 2, rows)])
    table = ds.dataset(tmp_path, partitioning="hive").to_table().sort_by("request_id")
    assert table["customer.age"].to_pylist() == [30.0, None]
    assert table["customer.city"].to_pylist() == ["Rome", "Oslo"]
    assert str(table["day"].to_pylist()[1]) == "1970-01-02"


def test_a_mixed_feature_is_named() -> None:
    table, mixed = to_table([row(0, age=30.0, x=[]), row(1, age="thirty", x=[1.0]), row(2, age=None)])
    assert mixed == ["customer.age"]
    assert [name for name in table.schema.names if "." in name] == ["customer.x"]


def test_the_same_chunk_gives_the_same_bytes(tmp_path: Path) -> None:
    for place in ("one", "other"):
        ParquetBuffer.open(str(tmp_path / place)).write([chunk(0, 50, 1)])
    one, other = (next((tmp_path / place).rglob("*.parquet")).read_bytes() for place in ("one", "other"))
    assert one == other


def test_a_folder_of_unknown_scheme_is_refused() -> None:
    with pytest.raises(UsageError, match="ftp://"):
        ParquetBuffer.open("ftp://host/labels")


def test_a_torn_first_chunk_is_not_missing(tmp_path: Path) -> None:
    mortal = MortalFolder(fs.LocalFileSystem(), str(tmp_path))
    mortal.effects_left = 1
    with pytest.raises(Killed):
        ParquetBuffer(mortal).write([chunk(0, 10, 2)])
    successor = ParquetBuffer(Folder.open(str(tmp_path)))
    assert successor.positions([P]) == {P: 0}
    assert successor.write([chunk(0, 10, 2)]) == []

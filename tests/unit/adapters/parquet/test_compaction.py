"""Small files made into large ones, whatever happens meanwhile."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import fs

from stream_scorer.adapters.files.folders import Folder
from stream_scorer.adapters.parquet.buffer import ParquetBuffer
from stream_scorer.adapters.parquet.compaction import Compacted, _replace, compact, compact_step
from stream_scorer.adapters.parquet.rows import COLUMNS
from stream_scorer.core.buffer.buffer_files import Chunk, files_of, superseded
from stream_scorer.core.buffer.compaction import CompactionPlan
from stream_scorer.errors import UsageError
from tests.unit.adapters.parquet.test_buffer import Killed, MortalFolder, P, chunk, fill, row


def requests(folder: Folder) -> list[str]:
    return sorted(one.request_id for batch in ParquetBuffer(folder).read() for one in batch)


def filled(end: int = 20, length: int = 3, days: int = 2) -> MortalFolder:
    folder = MortalFolder(fs._MockFileSystem(), "labels")
    fill(ParquetBuffer(folder), end, length, days)
    return folder


def test_a_days_older_files_are_merged() -> None:
    folder = filled()
    before = requests(folder)
    assert compact(folder) == Compacted(files_before=14, files_after=4, rows_doubled=0)
    assert requests(folder) == before


def test_how_offsets_were_sampled_survives_compaction() -> None:
    folder = MortalFolder(fs._MockFileSystem(), "labels")
    for first, keep_prob in enumerate([0.5, 0.5, 1.0, 0.25]):
        ParquetBuffer(folder).write([replace(chunk(first, first + 1, 2), keep_prob=keep_prob)])
    before = ParquetBuffer(folder).sampled([P])
    assert [one.keep_prob for one in before[P]] == [0.5, 1.0, 0.25]
    compact(folder)
    assert ParquetBuffer(folder).sampled([P]) == before


def test_files_with_and_without_rerankers_merge() -> None:
    folder = MortalFolder(fs._MockFileSystem(), "labels")
    added_to: list[dict[str, Any]] = [{}, {"tower_rank": 3, "reranker_score": 0.5}, {}, {}]
    for first, added in enumerate(added_to):
        plain = chunk(first, first + 1, 1)
        ParquetBuffer(folder).write([replace(plain, rows=[row._replace(**added) for row in plain.rows])])
    columns = [folder.footer(path).schema.names for path in sorted(folder.paths())]
    assert sorted("tower_rank" in names for names in columns) == [False, False, False, True]
    before = list(ParquetBuffer(folder).read())
    compact(folder)
    after = [row for rows in ParquetBuffer(folder).read() for row in rows]
    assert after == [row for rows in before for row in rows]
    assert [(row.tower_rank, row.reranker_score) for row in after if row.tower_rank] == [(3, 0.5)]


def test_compaction_again_takes_the_compacted_file_in() -> None:
    folder = filled()
    compact(folder)
    fill(ParquetBuffer(folder), 40, 3, 2)
    compact(folder)
    assert len(folder.paths()) == 4
    assert requests(folder) == sorted(f"r{offset}" for offset in range(40))


def test_the_position_does_not_move() -> None:
    folder = filled()
    compact(folder)
    assert ParquetBuffer(folder).positions([P]) == {P: 20}


@given(st.integers(0, 16), st.integers(1, 9))
@settings(max_examples=15)
def test_a_kill_leaves_every_row_once(kill: int, length: int) -> None:
    folder = filled(length=length)
    before = requests(folder)
    folder.effects_left = kill
    try:
        compact(folder)
    except Killed:
        folder.effects_left = 10**9
    assert requests(folder) == before
    compact(folder)
    assert requests(folder) == before
    assert superseded(files_of(folder.paths())) == []


def test_compacted_files_keep_their_bound() -> None:
    folder = filled(days=1)
    compact(folder, rows_max=7)
    assert max(pq.read_metadata(folder.read(path)).num_rows for path in folder.paths()) == 6


def test_rows_that_two_members_wrote_become_one() -> None:
    folder = filled(end=10, length=5, days=1)
    other = MortalFolder(fs._MockFileSystem(), "labels")
    ParquetBuffer(other).write([chunk(0, 7, 1)])
    (path,) = other.paths()
    folder.write(path, other.read(path).to_pybytes())
    fill(ParquetBuffer(folder), 12, 2, 1)
    assert compact(folder).rows_doubled == 7
    assert requests(folder) == sorted(f"r{offset}" for offset in range(12))


def test_a_mixed_feature_keeps_its_values() -> None:
    folder = MortalFolder(fs._MockFileSystem(), "labels")
    for offset, value in enumerate([30.0, "thirty", None]):
        ParquetBuffer(folder).write([Chunk(P, offset, offset + 1, [row(offset, age=value, city="Rome")])])
    compact(folder)
    table = pq.read_table(next(folder.read(path) for path in folder.paths() if "compacted" in path))
    assert "customer.age" not in table.schema.names
    assert table["customer.city"].to_pylist() == ["Rome", "Rome"]
    assert sorted(str(one.customer_features["age"]) for batch in ParquetBuffer(folder).read() for one in batch) == [
        "30.0",
        "None",
        "thirty",
    ]


NOW_MS = 4 * 10**12
AT_ONCE = CompactionPlan(files_min=3, replaced_kept_ms=0)


def live(folder: Folder) -> int:
    files = files_of(folder.paths())
    return len(files) - len(superseded(files))


def test_steps_leave_few_files_and_every_row() -> None:
    folder = filled(60, 3, 2)
    before = requests(folder)
    assert live(folder) == 40
    while compact_step(folder, [P], AT_ONCE, NOW_MS):
        assert requests(folder) == before
    assert live(folder) == 4
    assert ParquetBuffer(folder).positions([P]) == {P: 60}


def test_a_step_leaves_other_members_partitions_alone() -> None:
    folder = filled()
    assert compact_step(folder, [P._replace(number=1)], AT_ONCE, NOW_MS) == 0
    assert live(folder) == 14


def test_merged_files_stay_for_their_readers() -> None:
    folder = filled()
    listed, modified_ms = folder.paths(), folder.entries()[0].modified_ms
    plan = CompactionPlan(files_min=3, replaced_kept_ms=1_000)
    while compact_step(folder, [P], plan, modified_ms):
        pass
    assert set(listed) < set(folder.paths())
    assert compact_step(folder, [P], plan, modified_ms + 2_000) == 0
    assert len(folder.paths()) == 4


@given(st.integers(0, 20), st.integers(2, 5))
@settings(max_examples=15)
def test_a_kill_between_steps_loses_nothing(kill: int, length: int) -> None:
    folder = filled(length=length)
    before = requests(folder)
    folder.effects_left = kill
    try:
        while compact_step(folder, [P], AT_ONCE, NOW_MS):
            assert requests(folder) == before
    except Killed:
        folder.effects_left = 10**9
    assert requests(folder) == before
    while compact_step(folder, [P], AT_ONCE, NOW_MS):
        pass
    compact_step(folder, [P], AT_ONCE, NOW_MS)
    assert requests(folder) == before
    assert superseded(files_of(folder.paths())) == []


class Frozen(MortalFolder):
    """A folder whose process stands still before its next file, while another member has its way."""

    meanwhile: Callable[[Folder], object] = staticmethod(lambda folder: None)

    def write(self, path: str, data: bytes) -> None:
        meanwhile, self.meanwhile = self.meanwhile, lambda folder: None
        meanwhile(Folder(self._filesystem, "labels"))
        super().write(path, data)


def test_a_paused_member_doubles_nothing() -> None:
    def go_on(folder: Folder) -> None:
        fill(ParquetBuffer(folder), 40, 3, 2)
        while compact_step(folder, [P], AT_ONCE, NOW_MS):
            pass
        compact_step(folder, [P], AT_ONCE, NOW_MS)

    frozen = Frozen(fs._MockFileSystem(), "labels")
    fill(ParquetBuffer(Folder(frozen._filesystem, "labels")), 20, 3, 2)
    frozen.meanwhile = go_on
    compact_step(frozen, [P], AT_ONCE, NOW_MS)
    assert requests(frozen) == sorted(f"r{offset}" for offset in range(40))


def test_a_woken_member_removes_crossing_files() -> None:
    frozen = Frozen(fs._MockFileSystem(), "labels")
    plain = Folder(frozen._filesystem, "labels")
    fill(ParquetBuffer(plain), 20, 2, 1)
    # the other one has read the same files, two of them on their own
    other = files_of(plain.paths())[2:7]
    frozen.meanwhile = lambda folder: _replace(folder, other)
    _replace(frozen, files_of(plain.paths())[:4])
    assert requests(plain) == sorted(f"r{offset}" for offset in range(20))
    assert sum(file.compacted for file in files_of(plain.paths())) == 1


def rewrite(folder: Folder, path: str, column: str, retyped: Callable[[pa.ChunkedArray], Any]) -> None:
    """Write a file anew, as a tool would that types a column in its own way."""
    table = folder.table(path)
    place = table.schema.get_field_index(column)
    sink = pa.BufferOutputStream()
    pq.write_table(table.set_column(place, column, retyped(table.column(place))), sink)
    folder.write(path, sink.getvalue().to_pybytes())


@pytest.mark.parametrize(
    ("column", "as_type"),
    [
        ("revision", pa.int64()),
        ("accepted", pa.int32()),
        ("customer_id", pa.large_string()),
        ("request_time_ms", pa.timestamp("ms")),
        ("request_time_ms", pa.timestamp("us", "UTC")),
    ],
    ids=str,
)
def test_files_of_other_types_are_merged(column: str, as_type: pa.DataType) -> None:
    folder = filled()
    before = [one for batch in ParquetBuffer(folder).read() for one in batch]
    second_day = next(file for file in files_of(folder.paths()) if file.day != "1970-01-01")
    ours = pa.timestamp("ms") if pa.types.is_timestamp(as_type) else COLUMNS[column]
    rewrite(folder, second_day.path, column, lambda values: values.cast(ours).cast(as_type))
    compact(folder)
    assert sorted(one for batch in ParquetBuffer(folder).read() for one in batch) == sorted(before)


def test_files_of_unreadable_types_are_named() -> None:
    folder = filled()
    path = files_of(folder.paths())[0].path
    rewrite(folder, path, "revision", lambda values: pa.array([[1]] * len(values)))
    with pytest.raises(UsageError, match=f"{re.escape(path)}: column .revision. is list<.*int64>, where .* int32"):
        compact(folder)

"""What the names of the buffer's files tell."""

from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.buffer.buffer_files import (
    BufferEnd,
    BufferFile,
    Chunk,
    Sampled,
    day_of,
    files_of,
    in_order,
    keep_prob_at,
    parse,
    split_by_day,
    standing,
    superseded,
)
from stream_scorer.core.buffer.examples import ExampleRow
from stream_scorer.core.records import Partition

P = Partition("training-labels", 3)
ROW = ExampleRow("e", 1, "r", "c", "o", 1, "accepted", {}, {}, 1, 0.5, 1.0, "rel", 0, 0, "shown")
DAY_MS = 86_400_000


def file(first: int, following: int, day: str = "2026-11-24", part: int = 1, parts: int = 1) -> BufferFile:
    return BufferFile(P, first, following, day, part, parts)


def test_a_name_reads_as_documented() -> None:
    assert (
        file(100, 250, part=1, parts=2).path
        == "day=2026-11-24/training-labels+3+000000000100-000000000250+1of2.parquet"
    )


@given(st.integers(0, 2**60), st.integers(1, 1000), st.integers(1, 9), st.booleans())
def test_a_name_reads_back(first: int, length: int, parts: int, compacted: bool) -> None:
    one = file(first, first + length, part=0 if compacted else parts, parts=0 if compacted else parts)
    assert parse(one.path) == one


def test_other_files_are_not_ours() -> None:
    strange = ["day=2026-11-24/.training-labels+3+0-5+1of1.parquet.tmp", "notes.txt", "day=2026-11-24/part-0.parquet"]
    assert files_of(strange) == []


def test_days_begin_at_midnight_utc() -> None:
    assert [day_of(ms) for ms in (0, DAY_MS - 1, DAY_MS, 1_795_478_400_000)] == [
        "1970-01-01",
        "1970-01-01",
        "1970-01-02",
        "2026-11-24",
    ]


def test_chunks_split_by_label_day() -> None:
    rows = [replace_time(time_ms) for time_ms in (DAY_MS, 5, DAY_MS + 1)]
    files = split_by_day(Chunk(P, 0, 3, rows))
    assert {one.path[:14]: (one.part, one.parts, len(files[one])) for one in files} == {
        "day=1970-01-01": (1, 2, 1),
        "day=1970-01-02": (2, 2, 2),
    }


def replace_time(time_ms: int) -> ExampleRow:
    return ROW._replace(label_time_ms=time_ms)


def test_a_share_holds_for_its_stretch_only() -> None:
    stretches = in_order(
        [Sampled(5, 8, 0.5), Sampled(0, 3, 1.0), Sampled(3, 5, 0.5), Sampled(0, 3, 1.0), Sampled(10, 11, 1.0)]
    )
    assert stretches == [Sampled(0, 3, 1.0), Sampled(3, 8, 0.5), Sampled(10, 11, 1.0)]
    assert [keep_prob_at(offset, stretches) for offset in (0, 2, 3, 7, 8, 10, 11)] == [
        1.0,
        1.0,
        0.5,
        0.5,
        None,
        1.0,
        None,
    ]
    assert keep_prob_at(0, []) is None


def test_no_file_stands_nowhere() -> None:
    assert standing([]) == BufferEnd(None)


def test_the_newest_whole_chunk_is_the_end() -> None:
    newest = (file(10, 25, part=1, parts=2), file(10, 25, part=2, parts=2))
    assert standing([file(0, 10), *newest]) == BufferEnd(25, newest=newest)


def test_a_torn_chunk_is_reported_and_skipped() -> None:
    torn = file(10, 25, part=1, parts=2)
    assert standing([file(0, 10), torn]) == BufferEnd(10, (torn,))


def test_a_whole_chunk_outranks_its_torn_twin() -> None:
    torn = file(10, 40, part=1, parts=2)
    assert standing([file(0, 10), torn, file(10, 25)]) == BufferEnd(25, (torn,), (file(10, 25),))


def test_compacted_files_never_set_the_end() -> None:
    assert standing([file(0, 10, parts=0, part=0), file(10, 25)]) == BufferEnd(25, newest=(file(10, 25),))


def test_compacted_files_supersede_those_they_cover() -> None:
    compacted = file(0, 20, part=0, parts=0)
    inside, outside, another_day = file(10, 20), file(20, 30), file(10, 20, day="2026-11-25")
    assert superseded([compacted, inside, outside, another_day]) == [inside]


def test_another_partition_is_not_superseded() -> None:
    elsewhere = file(0, 10)._replace(partition=replace_number(4))
    assert superseded([file(0, 20, part=0, parts=0), elsewhere]) == []


def replace_number(number: int) -> Partition:
    return P._replace(number=number)

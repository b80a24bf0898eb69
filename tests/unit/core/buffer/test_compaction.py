"""Which small files are made one."""

from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.buffer.buffer_files import BufferFile
from stream_scorer.core.buffer.compaction import TIERS_BYTES, is_crossed, small_runs, whole_of
from stream_scorer.core.records import Partition

P = Partition("training-labels", 3)
SMALL, MIDDLE, LARGE = 1_000, TIERS_BYTES[0], TIERS_BYTES[1]


def file(first: int, following: int, *, day: str = "2026-11-24", parts: int = 1) -> BufferFile:
    return BufferFile(P, first, following, day, parts, parts)


def neighbours(*sizes: int) -> dict[BufferFile, int]:
    return {file(first, first + 1): size for first, size in enumerate(sizes)}


def firsts(sizes: dict[BufferFile, int], files_min: int = 3) -> list[list[int]]:
    return [[one.first for one in run] for run in small_runs(sizes, files_min=files_min)]


def test_enough_small_neighbours_are_a_run() -> None:
    assert firsts(neighbours(SMALL, SMALL)) == []
    assert firsts(neighbours(SMALL, SMALL, SMALL)) == [[0, 1, 2]]


def test_large_files_stay_and_part_runs() -> None:
    assert firsts(neighbours(SMALL, SMALL, SMALL, LARGE, SMALL, SMALL)) == [[0, 1, 2]]


def test_merged_files_wait_for_their_size() -> None:
    assert firsts(neighbours(MIDDLE, SMALL, SMALL)) == [[0, 1, 2]]
    assert firsts(neighbours(MIDDLE, SMALL, SMALL, SMALL)) == [[1, 2, 3]]
    assert firsts(neighbours(MIDDLE, MIDDLE, MIDDLE)) == [[0, 1, 2]]


def test_days_and_partitions_do_not_mix() -> None:
    sizes = dict.fromkeys(
        [file(0, 1), file(1, 2, day="2026-11-25"), file(2, 3)._replace(partition=P._replace(number=1))], SMALL
    )
    assert firsts(sizes, files_min=2) == []


@given(st.lists(st.sampled_from([SMALL, MIDDLE, LARGE]), max_size=60), st.integers(2, 9))
def test_repeated_merging_leaves_few_small_files(sizes: list[int], files_min: int) -> None:
    files = neighbours(*sizes)
    while runs := small_runs(files, files_min=files_min):
        size = sum(files.pop(one) for one in runs[0])
        files[whole_of(runs[0])] = size
    ordered = [files[one] for one in sorted(files)]
    for bound in TIERS_BYTES:
        small = "".join("s" if size < bound else " " for size in ordered)
        assert max(map(len, small.split()), default=0) < files_min


def test_overlapping_compacted_files_cross() -> None:
    whole = file(0, 10, parts=0)
    assert is_crossed(whole, [whole, file(5, 15, parts=0)])
    assert not is_crossed(whole, [whole, file(0, 15, parts=0), file(3, 6, parts=0), file(10, 20, parts=0), file(5, 15)])
    assert not is_crossed(whole, [file(5, 15, parts=0, day="2026-11-25")])

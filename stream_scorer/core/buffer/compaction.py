"""Chooses which small files of the training buffer are merged while it is being filled.

Files are small where labels are written soon after they arrive. A run of small neighbours is merged into one file, and
merged files are merged again, by tiers of size. So a row is rewritten a few times at most, and a partition's day ends
with at most `files_min - 1` files a tier, besides the large ones.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from stream_scorer.core.buffer.buffer_files import BufferFile

TIERS_BYTES = (256 * 1024, 4 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class CompactionPlan:
    """When small files are merged, and how long replaced files stay for readers who have listed them."""

    files_min: int = 16
    replaced_kept_ms: int = 3_600_000
    rows_max: int = 500_000


def small_runs(sizes: Mapping[BufferFile, int], *, files_min: int) -> list[list[BufferFile]]:
    """Return runs of at least `files_min` neighbours of one partition and day to merge, the smallest files first.

    `sizes` in bytes. No file is in a run that contains another run.
    """
    runs: list[list[BufferFile]] = []
    for tier_bytes in TIERS_BYTES:
        candidates = [run for run in _below(sizes, tier_bytes) if len(run) >= files_min]
        taken = {file for run in runs for file in run}
        runs += [run for run in candidates if taken.isdisjoint(run)]
    return runs


def _below(sizes: Mapping[BufferFile, int], tier_bytes: int) -> Iterator[list[BufferFile]]:
    for (_, _, small), neighbours in groupby(
        sorted(sizes, key=_order), key=lambda file: (file.partition, file.day, sizes[file] < tier_bytes)
    ):
        if small:
            yield list(neighbours)


def _order(file: BufferFile) -> tuple[object, ...]:
    return file.partition, file.day, file.first


def is_crossed(whole: BufferFile, files: Iterable[BufferFile]) -> bool:
    """Return whether another compacted file overlaps this one's offsets without either containing the other."""
    others = [
        file
        for file in files
        if file.compacted and file != whole and (file.partition, file.day) == (whole.partition, whole.day)
    ]
    return any(_overlap(whole, other) and not _nested(whole, other) for other in others)


def _overlap(one: BufferFile, other: BufferFile) -> bool:
    return one.first < other.next and other.first < one.next


def _nested(one: BufferFile, other: BufferFile) -> bool:
    inner, outer = sorted([one, other], key=lambda file: file.next - file.first)
    return outer.first <= inner.first and inner.next <= outer.next


def whole_of(group: Sequence[BufferFile]) -> BufferFile:
    """Return the compacted file that replaces neighbours."""
    return group[0]._replace(next=max(file.next for file in group), part=0, parts=0)

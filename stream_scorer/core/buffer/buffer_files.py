"""The names of the training buffer's files, and what they state about offsets and chunks.

`day=2026-11-24/training-labels+3+000000000100-000000000250+1of2.parquet` holds the rows of the offsets [100, 250) of
partition 3 whose label is of that day, and is the first of the two files of this chunk.

A chunk is whole when all its files exist. The chunks of a partition follow each other without gaps, and a chunk is
begun only when the chunk before it is whole; so only the newest can be torn, and the names show where to go on.
`+compacted` stands in place of `+1of2` on a file that replaces those of its day within its range; compaction leaves the
newest chunk alone.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import NamedTuple

from stream_scorer.core.buffer.examples import ExampleRow
from stream_scorer.core.records import Partition

DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()
_NAME = re.compile(
    r"day=(\d{4}-\d\d-\d\d)/([A-Za-z0-9._-]+)\+(\d+)\+(\d+)-(\d+)\+(?:(\d+)of(\d+)|compacted)\.parquet",
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """The rows of the offsets [first, next) of one partition; `keep_prob` is the share of assumed negatives kept."""

    partition: Partition
    first: int
    next: int
    rows: Sequence[ExampleRow]
    keep_prob: float = 1.0

    @property
    def sampled(self) -> "Sampled":
        """Return how its offsets were sampled."""
        return Sampled(self.first, self.next, self.keep_prob)


class Sampled(NamedTuple):
    """Of the offsets [first, next) this share of the assumed negatives was kept."""

    first: int
    next: int
    keep_prob: float


def in_order(stretches: Iterable[Sampled]) -> list[Sampled]:
    """Return the stretches in order of offset, each once, neighbours of one share as one."""
    joined: list[Sampled] = []
    for one in sorted(set(stretches)):
        if joined and (joined[-1].next, joined[-1].keep_prob) == (one.first, one.keep_prob):
            joined[-1] = joined[-1]._replace(next=one.next)
        else:
            joined.append(one)
    return joined


def keep_prob_at(offset: int, stretches: Sequence[Sampled]) -> float | None:
    """Return the share that was kept at an offset, by stretches in order; None at an offset of no stretch."""
    place = bisect_right(stretches, offset, key=lambda one: one.first) - 1
    return stretches[place].keep_prob if place >= 0 and offset < stretches[place].next else None


class BufferFile(NamedTuple):
    """What the name of a file states; `part` counts from 1 to `parts`, both 0 when compacted."""

    partition: Partition
    first: int
    next: int
    day: str
    part: int
    parts: int

    @property
    def path(self) -> str:
        """Return the path inside the buffer's folder."""
        place = "compacted" if self.compacted else f"{self.part}of{self.parts}"
        topic, number = self.partition
        return f"day={self.day}/{topic}+{number}+{self.first:012d}-{self.next:012d}+{place}.parquet"

    @property
    def compacted(self) -> bool:
        """Return whether it replaces other files."""
        return self.parts == 0


def parse(path: str) -> BufferFile | None:
    """Read a path inside the buffer's folder; None for a file that is not ours."""
    match = _NAME.fullmatch(path)
    if match is None:
        return None
    day, topic, number, first, following, part, parts = match.groups()
    return BufferFile(Partition(topic, int(number)), int(first), int(following), day, int(part or 0), int(parts or 0))


def files_of(paths: Iterable[str]) -> list[BufferFile]:
    """Return those of the paths that are ours, in order of partition, offset and day."""
    return sorted(file for path in paths if (file := parse(path)) is not None)


def day_of(time_ms: int) -> str:
    """Return the day (UTC) of a time, as YYYY-MM-DD."""
    return date.fromordinal(_EPOCH + time_ms // DAY_MS).isoformat()


def split_by_day(chunk: Chunk) -> dict[BufferFile, list[ExampleRow]]:
    """Return the files of a chunk and their rows, in order of day; the same chunk always gives the same."""
    days: dict[str, list[ExampleRow]] = {}
    for row in chunk.rows:
        days.setdefault(day_of(row.label_time_ms), []).append(row)
    return {
        BufferFile(chunk.partition, chunk.first, chunk.next, day, part, len(days)): days[day]
        for part, day in enumerate(sorted(days), 1)
    }


@dataclass(frozen=True, slots=True)
class BufferEnd:
    """Where the files of one partition end, and the files of a torn chunk behind that end; None: no file yet.

    `newest` are the files of the whole chunk that ends there, none where only a torn one shows the end.
    """

    position: int | None
    torn: tuple[BufferFile, ...] = ()
    newest: tuple[BufferFile, ...] = ()


def standing(files: Iterable[BufferFile]) -> BufferEnd:
    """Return where the files of one partition end, and what is torn behind that end."""
    written = [file for file in files if not file.compacted]
    if not written:
        return BufferEnd(None)
    first = max(file.first for file in written)
    newest = sorted((file for file in written if file.first == first), key=lambda file: (file.next, file.part))
    chunks = {following: list(group) for following, group in groupby(newest, key=lambda file: file.next)}
    whole = [following for following, chunk in chunks.items() if is_whole(chunk)]
    position = max(whole, default=first)
    torn = tuple(file for following, chunk in chunks.items() if following not in whole for file in chunk)
    return BufferEnd(position, torn, tuple(chunks[position]) if whole else ())


def is_whole(chunk: Sequence[BufferFile]) -> bool:
    """Return whether all files of a chunk are there."""
    return bool(chunk) and len({file.part for file in chunk}) == chunk[0].parts


def superseded(files: Iterable[BufferFile]) -> list[BufferFile]:
    """Return the files that a compacted one of the same partition and day has replaced, and that a kill left behind."""
    left: list[BufferFile] = []
    for _, group in groupby(sorted(files, key=_place), key=_place):
        here = list(group)
        covers = [file for file in here if file.compacted]
        left.extend(file for file in here if any(_covers(cover, file) for cover in covers))
    return left


def compactable(files: Iterable[BufferFile]) -> list[BufferFile]:
    """Return the files that compaction may replace: all but each partition's newest chunk, in order.

    The order is that of partition, day and offset.
    """
    by_partition: dict[Partition, list[BufferFile]] = {}
    for file in files:
        by_partition.setdefault(file.partition, []).append(file)
    free: list[BufferFile] = []
    for here in by_partition.values():
        newest = max((file.first for file in here if not file.compacted), default=-1)
        free += [file for file in here if file.compacted or file.first < newest]
    return sorted(free, key=lambda file: (file.partition, file.day, file.first))


def _place(file: BufferFile) -> tuple[Partition, str]:
    return file.partition, file.day


def _covers(cover: BufferFile, file: BufferFile) -> bool:
    return cover != file and cover.first <= file.first and file.next <= cover.next

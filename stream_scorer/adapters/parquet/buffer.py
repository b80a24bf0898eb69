"""The training buffer as Parquet files.

`core.buffer.buffer_files` explains the names of the files, `adapters.parquet.rows` their schema.

A folder grows for months, so a flush lists the days that its rows fall on and no more. That is enough to see another
member who goes on with the same partition: it begins where this one begins, so both have the first rows in common, and
with them a day. The whole folder is listed where this member starts, and where a chunk does not follow its last one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

from pydantic import TypeAdapter, ValidationError

from stream_scorer.adapters.files.folders import Folder
from stream_scorer.adapters.parquet.compaction import compact_step
from stream_scorer.adapters.parquet.erasure import PATH as ERASURES_PATH
from stream_scorer.adapters.parquet.erasure import erase, read_erasures, rows_of, write_kept
from stream_scorer.adapters.parquet.rows import from_table, sampled_in, to_parquet
from stream_scorer.core.buffer.buffer_files import (
    BufferEnd,
    BufferFile,
    Chunk,
    Sampled,
    files_of,
    in_order,
    is_whole,
    split_by_day,
    standing,
    superseded,
)
from stream_scorer.core.buffer.compaction import CompactionPlan
from stream_scorer.core.buffer.erasure import Erasures
from stream_scorer.core.buffer.examples import ExampleRow
from stream_scorer.core.records import Partition
from stream_scorer.errors import UsageError

TOPICS_PATH = "_topics.json"
_topic_ids = TypeAdapter(dict[str, str])


class ParquetBuffer:
    """See TrainingBuffer."""

    def __init__(self, folder: Folder) -> None:
        """Use a folder, which need not exist yet."""
        self._folder = folder
        # Partitions that had files. If all of them disappear, the next chunk would leave a gap that nothing shows.
        self._known: set[Partition] = set()
        # the files of the newest chunk of each partition, none before the first: what the next chunk must follow
        self._newest: dict[Partition, Sequence[BufferFile]] = {}

    @classmethod
    def open(cls, place: str) -> "ParquetBuffer":
        """Open a local path or a URI such as s3://bucket/prefix.

        Raises UsageError for a place that pyarrow does not know or that does not exist, TransientError for a place that
        cannot be reached.
        """
        return cls(Folder.open(place))

    def check_writable(self) -> None:
        """Raise UsageError or TransientError where a local folder cannot be written, before any work is done."""
        self._folder.check_writable()

    def positions(self, partitions: Sequence[Partition]) -> Mapping[Partition, int | None]:
        """See TrainingBuffer.positions."""
        standings = self._standings(partitions)
        self._folder.delete([file.path for one in standings.values() for file in one.torn])
        # Only partitions with files are known from here on. A partition without files is read from the beginning, which
        # fills any gap. Where the only chunk was torn, its deletion above must not look as if files had disappeared.
        left = self._standings(partitions) if any(one.torn for one in standings.values()) else standings
        self._known -= standings.keys()
        self._known |= {partition for partition, one in left.items() if one.position is not None}
        self._newest |= {partition: one.newest for partition, one in left.items()}
        return {partition: one.position for partition, one in standings.items()}

    def ends(self, partitions: Sequence[Partition]) -> Mapping[Partition, int | None]:
        """See TrainingBuffer.ends."""
        return {partition: one.position for partition, one in self._standings(partitions).items()}

    def exists(self) -> bool:
        """See TrainingBuffer.exists."""
        paths = self._folder.paths()
        return bool(files_of(paths)) or not {ERASURES_PATH, TOPICS_PATH}.isdisjoint(paths)

    def topic_id(self, topic: str) -> str:
        """See TrainingBuffer.topic_id."""
        return self._topic_ids().get(topic, "")

    def state_topic(self, topic: str, topic_id: str) -> None:
        """See TrainingBuffer.state_topic."""
        self._folder.write(TOPICS_PATH, json.dumps({**self._topic_ids(), topic: topic_id}).encode())

    def _topic_ids(self) -> dict[str, str]:
        data = self._folder.find(TOPICS_PATH)
        try:
            return {} if data is None else _topic_ids.validate_json(data.to_pybytes())
        except ValidationError as error:
            raise UsageError(
                f"{TOPICS_PATH} in the buffer's folder must be a JSON object of topic ids: remove it"
            ) from error

    def write(self, chunks: Sequence[Chunk]) -> list[Partition]:
        """See TrainingBuffer.write."""
        near = self._near(chunks)
        if near is None:
            before = self._standings([chunk.partition for chunk in chunks])
            self._check_there(before)
            wanted = [chunk for chunk in chunks if _fits(chunk, before[chunk.partition])]
        else:
            before = {}
            wanted = [chunk for chunk in chunks if not any(_crosses(file, chunk) for file in near)]
        for chunk in wanted:
            self._write(chunk, before.get(chunk.partition, BufferEnd(chunk.first)))
        kept = self._kept(wanted, files_of(self._folder.paths()) if near is None else self._on_days(wanted))
        self._known |= kept
        self._newest |= {chunk.partition: list(split_by_day(chunk)) for chunk in wanted if chunk.partition in kept}
        return [chunk.partition for chunk in chunks if chunk.partition not in kept]

    def _near(self, chunks: Sequence[Chunk]) -> list[BufferFile] | None:
        """Return the files on the days of these chunks, None where only the whole folder shows where they belong.

        That is so unless each follows the newest chunk of its partition that this member knows of, and that is still
        there: the newest chunk is never compacted, so when it is gone, somebody has gone on, or the folder is gone.
        """
        if not all(_follows(chunk, self._newest.get(chunk.partition)) for chunk in chunks):
            return None
        near = self._on_days(chunks)
        listed, days = set(near), {file.day for chunk in chunks for file in split_by_day(chunk)}
        last = [file for chunk in chunks for file in self._newest[chunk.partition]]
        there = all(file in listed if file.day in days else self._folder.has(file.path) for file in last)
        return near if there else None

    def _on_days(self, chunks: Sequence[Chunk]) -> list[BufferFile]:
        days = sorted({file.day for chunk in chunks for file in split_by_day(chunk)})
        return files_of(path for day in days for path in self._folder.paths(f"day={day}"))

    def _check_there(self, standings: Mapping[Partition, BufferEnd]) -> None:
        gone = [
            str(one.number) for one, standing in standings.items() if standing.position is None and one in self._known
        ]
        if gone:
            raise UsageError(
                f"the buffer's files of partitions {', '.join(gone)} are gone from its folder since they were written: "
                "put the folder back, or start the buffer again, which fills it from the topic as far as that is kept"
            )

    def _write(self, chunk: Chunk, before: BufferEnd) -> None:
        files = split_by_day(chunk)
        self._folder.delete([file.path for file in before.torn if file not in files])
        write_kept(self._folder, lambda erasures: self._write_files(files, erasures, chunk.sampled))

    def _write_files(
        self, files: Mapping[BufferFile, Sequence[ExampleRow]], erasures: Erasures, sampled: Sampled
    ) -> None:
        # A file whose rows are all erased is written too, since its name states the offset to continue from.
        for file, rows in files.items():
            self._folder.write(file.path, to_parquet(file, erasures.kept(rows), sampled))

    def _kept(self, chunks: Sequence[Chunk], files: Sequence[BufferFile]) -> set[Partition]:
        """Return the partitions whose chunk is whole and overlaps no other; delete what was written of the rest.

        An overlap shows that another member of the consumer group wrote some of the same offsets at the same time.
        """
        kept = set()
        for chunk in chunks:
            own = [
                file
                for file in files
                if file.partition == chunk.partition and not file.compacted and _same(file, chunk)
            ]
            if is_whole(own) and not any(_crosses(file, chunk) for file in files):
                kept.add(chunk.partition)
            else:
                self._folder.delete([file.path for file in own])
        return kept

    def read(self) -> Iterator[list[ExampleRow]]:
        """See TrainingBuffer.read."""
        for file in self.files():
            yield from_table(file.path, self._folder.table(file.path))

    def sampled(self, partitions: Sequence[Partition]) -> Mapping[Partition, Sequence[Sampled]]:
        """See TrainingBuffer.sampled."""
        found: dict[Partition, list[Sampled]] = {partition: [] for partition in partitions}
        for file in self.files():
            if file.partition in found:
                found[file.partition] += sampled_in(self._folder.footer(file.path).metadata)
        return {partition: in_order(stretches) for partition, stretches in found.items()}

    def compact(self, partitions: Sequence[Partition], plan: CompactionPlan, now_ms: int) -> int:
        """See TrainingBuffer.compact."""
        return compact_step(self._folder, partitions, plan, now_ms)

    def erasures(self) -> Erasures:
        """See TrainingBuffer.erasures."""
        return read_erasures(self._folder)

    def erase(self, customer_id: str, now_ms: int) -> Mapping[str, int]:
        """See TrainingBuffer.erase."""
        return erase(self._folder, customer_id, now_ms)

    def rows_of(self, customer_id: str) -> Mapping[str, int]:
        """See TrainingBuffer.rows_of."""
        return rows_of(self._folder, customer_id)

    def files(self) -> list[BufferFile]:
        """Return the files whose rows count, which leaves out those that compaction has replaced."""
        files = files_of(self._folder.paths())
        gone = set(superseded(files))
        return [file for file in files if file not in gone]

    def _standings(self, partitions: Sequence[Partition]) -> dict[Partition, BufferEnd]:
        files = files_of(self._folder.paths())
        return {
            partition: standing([file for file in files if file.partition == partition]) for partition in partitions
        }


def _fits(chunk: Chunk, before: BufferEnd) -> bool:
    # A partition that ends where the chunk ends has it already: the answer to an earlier write was lost. Writing the
    # same rows again changes nothing.
    return before.position in (None, chunk.first, chunk.next)


def _follows(chunk: Chunk, newest: Sequence[BufferFile] | None) -> bool:
    return newest is not None and all(file.next == chunk.first for file in newest)


def _same(file: BufferFile, chunk: Chunk) -> bool:
    return (file.first, file.next) == (chunk.first, chunk.next)


def _crosses(file: BufferFile, chunk: Chunk) -> bool:
    # A compacted file counts, too: it may have swallowed the chunk with which another member went on from here.
    other = file.partition == chunk.partition and (file.compacted or not _same(file, chunk))
    return other and file.first < chunk.next and chunk.first < file.next

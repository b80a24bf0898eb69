"""buffer: labels to files of examples.

Each output has a truth of its own that tells where to go on: rows by the files that are there, dead letters by the
committed offsets. A partition is read from the older of both, and what one of them has already is left out. So rows are
in the files exactly once whatever is killed when, and the committed offsets are never ahead of the files.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import structlog
from msgspec.structs import replace
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from stream_scorer.core.buffer.buffer_files import Chunk
from stream_scorer.core.buffer.compaction import CompactionPlan
from stream_scorer.core.buffer.examples import ExampleRow, half_labelled, take_apart
from stream_scorer.core.messages import LabelledRanking
from stream_scorer.core.records import DeadLetter, Partition, Position, Record
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.core.wire.dead_letters import dead_letter_record
from stream_scorer.core.wire.letter_headers import HeaderStyle
from stream_scorer.errors import TransientError, UsageError
from stream_scorer.ports import Clock, Fetched, LogReader, RecordSource, TrainingBuffer
from stream_scorer.services.streaming.loop import Work

log = structlog.get_logger(__name__)

ATTEMPTS_MAX = 5
FIRST_WAIT_S = 0.5


@dataclass(frozen=True, slots=True)
class BufferConfig:
    """How a buffer writes, and how much it may keep in memory."""

    dead_letters: str
    file_rows_max: int
    held_bytes_max: int
    flush_s: float
    keep_prob: float
    compaction: CompactionPlan = field(default_factory=CompactionPlan)
    letter_headers: HeaderStyle = "ours"


@dataclass(slots=True)
class _Held:
    """What was read of a partition and is not written yet: a chunk that begins at `first`, and dead letters."""

    first: int
    rows_from: int
    dead_from: int
    next: int
    since_s: float | None = None
    value_bytes: int = 0
    rows: list[ExampleRow] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    seen: list[Record] = field(default_factory=list)


class Buffer:
    """The buffer's part of the loop; see services.streaming.loop.Job."""

    name = "buffer"

    def __init__(
        self, source: RecordSource, reader: LogReader, buffer: TrainingBuffer, config: BufferConfig, *, clock: Clock
    ) -> None:
        """Fill `buffer` from a held `source`; `reader` is of the same group."""
        self._source, self._reader, self._buffer = source, reader, buffer
        self._config, self._clock = config, clock
        self._retried = Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(ATTEMPTS_MAX),
            wait=wait_exponential(FIRST_WAIT_S),
            sleep=clock.sleep,
            before_sleep=_log_trouble,
            reraise=True,
        )
        self._held: dict[Partition, _Held] = {}
        self._chunks_since_compacted = 0
        self.counts: Counter[str] = Counter()
        """What was done since the start: rows, chunks and dead_letters written, files compacted."""

    def process(self, fetched: Fetched) -> Work | None:
        """See Job.process."""
        for partition in fetched.assignment.dropped:
            self._held.pop(partition, None)
        self._start(fetched.assignment.gained)
        self._compact()
        for partition, records in _by_partition(fetched.records):
            self._take_in(partition, records)
        if fetched.assignment.gained:
            # a position is committed before the first record: without any, a restart could not know whether the dead
            # letters of a first batch were written
            return self._work([one for one in fetched.assignment.gained if one in self._held])
        return self._flush(self._due())

    def finish(self) -> Work | None:
        """Write what is in memory, at a clean end."""
        return self._flush(list(self._held))

    def written(self, work: Work) -> None:
        """See Job.written."""
        self.counts += Counter(dead_letters=len(work.dead_letters))

    def aborted(self) -> None:
        """See Job.aborted: the files are written, the dead letters are not."""
        partitions = list(self._held)
        self._source.hold(partitions)
        self._start(partitions)

    def idle(self) -> bool:
        """See Job.idle."""
        return not any(held.seen for held in self._held.values())

    # -- taking in

    def _start(self, partitions: Sequence[Partition]) -> None:
        if not partitions:
            return
        for topic in {one.topic for one in partitions}:
            self._retried(self._check_topic, topic)
        ends = self._retried(self._buffer.positions, partitions)
        committed = self._retried(self._reader.committed, partitions)
        for partition in partitions:
            rows_from = ends[partition] or 0
            position = committed[partition]
            dead_from = rows_from if position is None else position.offset
            self._check(partition, ends[partition])
            start = min(rows_from, dead_from)
            self._held[partition] = _Held(rows_from, rows_from, dead_from, start)
            self._source.start({partition: Position(start)})

    def _check_topic(self, topic: str) -> None:
        """Compare the topic with that of the files: the first records of one made anew would be taken for written."""
        shape = self._reader.topics([topic]).get(topic)
        if shape is None or not shape.topic_id:
            return
        stated = self._buffer.topic_id(topic)
        if stated not in ("", shape.topic_id):
            msg = (
                f"the files hold labels of a topic {topic} that is gone: it was made anew "
                f"(id {stated}, now {shape.topic_id}); set buffer.folder to a new folder, and train on both"
            )
            raise UsageError(msg)
        if not stated:
            self._buffer.state_topic(topic, shape.topic_id)

    def _check(self, partition: Partition, rows_end: int | None) -> None:
        topic, number = partition
        if rows_end is None:
            return
        if rows_end > (end := self._reader.end(partition)):
            raise UsageError(
                f"the files hold {topic}[{number}] up to offset {rows_end}, but it ends at {end}: "
                "the folder is another topic's"
            )
        if rows_end < (beginning := self._reader.beginning(partition)):
            log.warning("labels_expired_unread", topic=topic, partition=number, first=rows_end, next=beginning)

    def _take_in(self, partition: Partition, records: Sequence[Record]) -> None:
        held = self._held[partition]
        if held.since_s is None:
            held.since_s = self._clock.monotonic_s()
        decoded = decode_all(records, LabelledRanking)
        half = [
            DeadLetter(record, *fault)
            for record, message in zip(decoded.records, decoded.messages, strict=True)
            if (fault := half_labelled(message))
        ]
        held.dead += [letter for letter in (*decoded.dead_letters, *half) if letter.record.offset >= held.dead_from]
        bad = {letter.record.offset for letter in half}
        for record, message in zip(decoded.records, decoded.messages, strict=True):
            if (
                record.offset >= held.rows_from
                and record.offset not in bad
                and not self._add(partition, held, record, message)
            ):
                return
        held.value_bytes += sum(len(record.value or b"") for record in records)
        held.seen += [replace(record, key=None, value=None) for record in records]
        held.next = records[-1].offset + 1

    def _add(self, partition: Partition, held: _Held, record: Record, message: LabelledRanking) -> bool:
        rows = list(take_apart(message, keep_prob=self._config.keep_prob))
        if held.rows and len(held.rows) + len(rows) > self._config.file_rows_max:
            held.next = record.offset
            if self._write([partition]):
                return False
        held.rows += rows
        return True

    # -- writing

    def _due(self) -> list[Partition]:
        if sum(held.value_bytes for held in self._held.values()) >= self._config.held_bytes_max:
            return list(self._held)
        due_s = self._clock.monotonic_s() - self._config.flush_s
        return [
            partition for partition, held in self._held.items() if held.since_s is not None and held.since_s <= due_s
        ]

    def _flush(self, due: Sequence[Partition]) -> Work | None:
        refused = self._write(due)
        return self._work([partition for partition in due if partition not in refused])

    def _write(self, partitions: Sequence[Partition]) -> list[Partition]:
        """Write the rows of these partitions.

        Of those that were refused, another member's files tell where to go on.
        """
        held = {partition: self._held[partition] for partition in partitions if self._held[partition].rows}
        chunks = [
            Chunk(partition, one.first, one.next, one.rows, self._config.keep_prob) for partition, one in held.items()
        ]
        refused = self._retried(self._buffer.write, chunks) if chunks else []
        for partition, one in held.items():
            if partition not in refused:
                self.counts += Counter(rows=len(one.rows), chunks=1)
                self._chunks_since_compacted += 1
            one.first, one.rows, one.value_bytes = one.next, [], 0
        if chunks:
            log.info(
                "labels_buffered", chunks=len(chunks) - len(refused), rows=sum(len(chunk.rows) for chunk in chunks)
            )
        if refused:
            log.warning(
                "chunks_refused",
                partitions=[one.number for one in refused],
                reason="files end elsewhere: another member wrote, or some are gone",
            )
            self._source.hold(refused)
            self._start(refused)
        return refused

    def _compact(self) -> None:
        """Make one file of small ones, a bounded step between two batches, as long as there is more to do."""
        if self._chunks_since_compacted < self._config.compaction.files_min:
            return
        replaced = 0
        try:
            replaced = self._buffer.compact(list(self._held), self._config.compaction, self._clock.now_ms())
        except (TransientError, UsageError) as error:
            # the rows are safe in small files, and the next round tries again
            log.warning("compaction_failed", reason=str(error))
        if replaced:
            self.counts += Counter(compacted=replaced)
            log.info("files_compacted", files=replaced)
        else:
            self._chunks_since_compacted = 0

    def _work(self, partitions: Sequence[Partition]) -> Work | None:
        held = {partition: self._held[partition] for partition in partitions}
        if not held:
            return None
        dead = [letter for one in held.values() for letter in one.dead]
        seen = [record for one in held.values() for record in one.seen]
        progress = {partition: Position(max(one.next, one.dead_from)) for partition, one in held.items()}
        for one in held.values():
            one.dead, one.seen, one.since_s, one.value_bytes = [], [], None, 0
        outputs = [
            dead_letter_record(letter, self._config.dead_letters, self._config.letter_headers) for letter in dead
        ]
        return Work(seen, outputs, dead, progress)


def _log_trouble(failed: RetryCallState) -> None:
    assert failed.outcome is not None
    assert failed.next_action is not None
    log.warning(
        "folder_trouble",
        reason=str(failed.outcome.exception()),
        attempt=failed.attempt_number,
        attempts_max=ATTEMPTS_MAX,
        wait_s=failed.next_action.sleep,
    )


def _by_partition(records: Sequence[Record]) -> Iterable[tuple[Partition, list[Record]]]:
    ordered = sorted(records, key=lambda record: (record.topic, record.partition, record.offset))
    for (topic, number), group in groupby(ordered, key=lambda record: (record.topic, record.partition)):
        yield Partition(topic, number), list(group)

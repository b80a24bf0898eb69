"""The training buffer in memory; tests can make it fail."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from stream_scorer.core.buffer.buffer_files import Chunk, Sampled, in_order
from stream_scorer.core.buffer.compaction import CompactionPlan
from stream_scorer.core.buffer.erasure import Erasures
from stream_scorer.core.buffer.examples import ExampleRow
from stream_scorer.core.records import Partition
from stream_scorer.errors import TransientError, UsageError


class MemoryBuffer:
    """See TrainingBuffer.

    The next `failures` writes raise TransientError; with `landed` they are written all the same.
    """

    def __init__(self, *, failures: int = 0, landed: bool = False) -> None:
        """Start empty."""
        self.chunks: list[Chunk] = []
        self.failures, self.landed = failures, landed
        self._erasures = Erasures("salt")
        self._topic_ids: dict[str, str] = {}
        self._known: set[Partition] = set()

    def positions(self, partitions: Sequence[Partition]) -> Mapping[Partition, int | None]:
        """See TrainingBuffer.positions."""
        ends = self.ends(partitions)
        self._known = (self._known - ends.keys()) | {each for each, end in ends.items() if end is not None}
        return ends

    def ends(self, partitions: Sequence[Partition]) -> Mapping[Partition, int | None]:
        """See TrainingBuffer.ends."""
        return {
            each: max((chunk.next for chunk in self.chunks if chunk.partition == each), default=None)
            for each in partitions
        }

    def topic_id(self, topic: str) -> str:
        """See TrainingBuffer.topic_id."""
        return self._topic_ids.get(topic, "")

    def state_topic(self, topic: str, topic_id: str) -> None:
        """See TrainingBuffer.state_topic."""
        self._topic_ids[topic] = topic_id

    def exists(self) -> bool:
        """See TrainingBuffer.exists."""
        return bool(self.chunks or self._erasures.erased_ms)

    def write(self, chunks: Sequence[Chunk]) -> list[Partition]:
        """See TrainingBuffer.write."""
        if self.failures and not self.landed:
            self._fail()
        refused = [chunk.partition for chunk in chunks if not self._put(chunk)]
        if self.failures:
            self._fail()
        return refused

    def _fail(self) -> None:
        self.failures -= 1
        msg = "a failure that the test asked for"
        raise TransientError(msg)

    def sampled(self, partitions: Sequence[Partition]) -> Mapping[Partition, Sequence[Sampled]]:
        """See TrainingBuffer.sampled."""
        return {
            each: in_order(chunk.sampled for chunk in self.chunks if chunk.partition == each) for each in partitions
        }

    def compact(self, partitions: Sequence[Partition], plan: CompactionPlan, now_ms: int) -> int:
        """See TrainingBuffer.compact: chunks in memory are not files."""
        return 0

    def erasures(self) -> Erasures:
        """See TrainingBuffer.erasures."""
        return self._erasures

    def erase(self, customer_id: str, now_ms: int) -> Mapping[str, int]:
        """See TrainingBuffer.erase."""
        before = self.rows_of(customer_id)
        self._erasures = self._erasures.with_customer(customer_id, now_ms)
        self.chunks = [replace(chunk, rows=self._erasures.kept(chunk.rows)) for chunk in self.chunks]
        after = self.rows_of(customer_id)
        return {name: count - after.get(name, 0) for name, count in before.items() if count != after.get(name, 0)}

    def rows_of(self, customer_id: str) -> Mapping[str, int]:
        """See TrainingBuffer.rows_of."""
        counts = {str(chunk.first): sum(row.customer_id == customer_id for row in chunk.rows) for chunk in self.chunks}
        return {name: count for name, count in counts.items() if count}

    def _put(self, chunk: Chunk) -> bool:
        known = {(stored.first, stored.next) for stored in self.chunks if stored.partition == chunk.partition}
        if (chunk.first, chunk.next) in known:
            return True
        position = self.ends([chunk.partition])[chunk.partition]
        if position is None and chunk.partition in self._known:
            raise UsageError("the files of this buffer are gone")
        fits = position in (None, chunk.first)
        self._known.add(chunk.partition)
        if fits:
            self.chunks.append(replace(chunk, rows=self._erasures.kept(chunk.rows)))
        return fits

    def read(self) -> Iterator[list[ExampleRow]]:
        """See TrainingBuffer.read."""
        yield from (list(chunk.rows) for chunk in self.chunks)

"""Kafka's ports in memory: topics, groups, and writes that are whole or not at all. Tests can make them fail."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import murmur2

from stream_scorer.core.records import OutputRecord, Partition, Position, Progress, Record, TopicShape
from stream_scorer.errors import BatchAborted
from stream_scorer.ports import Assignment, Clock, Fetched


@dataclass
class MemoryBroker:
    """Topics that all have the same partition count; every record gets its timestamp when it is appended."""

    partitions: int
    clock: Clock
    committed: dict[tuple[str, Partition], Position] = field(default_factory=dict)
    made: Counter[str] = field(default_factory=Counter)
    """How often each topic was made anew."""
    missing: set[str] = field(default_factory=set)
    """Topics that do not exist, or that a reader may not see."""
    oldest: dict[Partition, int] = field(default_factory=dict)
    """The offset of the oldest record that is kept, where retention has taken some."""
    _logs: dict[Partition, list[Record]] = field(default_factory=dict)

    def append(self, output: OutputRecord) -> None:
        """Append a record to its partition, by default to that of its key by murmur2."""
        number = murmur2(output.key or b"", self.partitions) if output.partition is None else output.partition
        log = self.log(Partition(output.topic, number))
        log.append(
            Record(output.topic, number, len(log), output.key, output.value, self.clock.now_ms(), tuple(output.headers))
        )

    def log(self, partition: Partition) -> list[Record]:
        """Return the records of a partition."""
        return self._logs.setdefault(partition, [])

    def make_anew(self, name: str) -> None:
        """Delete a topic, with the positions of all groups in it as Kafka does, and make it again."""
        self.made[name] += 1
        self._logs = {place: log for place, log in self._logs.items() if place.topic != name}
        self.committed = {place: position for place, position in self.committed.items() if place[1].topic != name}

    def topic(self, name: str) -> list[Record]:
        """Return all records of a topic, by partition and offset."""
        return [record for number in range(self.partitions) for record in self.log(Partition(name, number))]


class MemorySource:
    """See RecordSource; the only member of its group, unless `numbers` are the partitions that it has."""

    def __init__(
        self,
        broker: MemoryBroker,
        group: str,
        topics: Sequence[str],
        *,
        held: bool = False,
        numbers: Sequence[int] | None = None,
    ) -> None:
        self.group = group
        self._broker, self._held = broker, held
        numbers = range(broker.partitions) if numbers is None else numbers
        self._gained = [Partition(topic, number) for topic in topics for number in numbers]
        self._dropped: list[Partition] = []
        self._next: dict[Partition, int] = {}
        self._reported_ends: set[Partition] = set()
        if not held:
            self._next = {each: self._committed(each) for each in self._gained}

    def _committed(self, partition: Partition) -> int:
        position = self._broker.committed.get((self.group, partition))
        return position.offset if position else 0

    def move_away(self, partitions: Sequence[Partition]) -> None:
        """Let another member have these from the next fetch on."""
        self._dropped += partitions

    def fetch(self, *, records_max: int, wait_s: float, linger_s: float) -> Fetched:
        """See RecordSource.fetch; without records it waits on the broker's clock."""
        assignment = Assignment(tuple(self._gained), tuple(self._dropped))
        for each in self._dropped:
            self._next.pop(each, None)
        self._gained, self._dropped = [], []
        records: list[Record] = []
        self._next = {each: max(offset, self._broker.oldest.get(each, 0)) for each, offset in self._next.items()}
        for each, offset in self._next.items():
            records += self._broker.log(each)[offset : offset + records_max - len(records)]
        for record in records:
            self._next[Partition(record.topic, record.partition)] = record.offset + 1
            # Behind new records the end is reported again
            self._reported_ends.discard(Partition(record.topic, record.partition))
        at_end = {each for each, offset in self._next.items() if offset == len(self._broker.log(each))}
        ended = tuple(each for each in self._next if each in at_end - self._reported_ends)
        self._reported_ends = at_end
        if not records:
            self._broker.clock.sleep(wait_s)
        return Fetched(records, assignment, ended)

    def rewind(self) -> None:
        """See RecordSource.rewind."""
        self._next = {each: self._committed(each) for each in self._next}
        self._reported_ends.clear()

    def start(self, positions: Progress) -> None:
        """See RecordSource.start."""
        self._next.update({each: position.offset for each, position in positions.items()})
        self._reported_ends -= positions.keys()

    def hold(self, partitions: Sequence[Partition]) -> None:
        """See RecordSource.hold."""
        for each in partitions:
            self._next.pop(each, None)

    def still_at_end(self, partitions: Sequence[Partition]) -> bool:
        """See RecordSource.still_at_end."""
        return all(self._next.get(each) == len(self._broker.log(each)) for each in partitions)

    def lag(self) -> dict[Partition, int]:
        """See RecordSource.lag."""
        return {each: len(self._broker.log(each)) - offset for each, offset in self._next.items()}

    def close(self) -> None:
        """See RecordSource.close."""
        self._next = {}


class MemorySink:
    """See RecordSink; exactly once. The next writes fail with the errors in `aborts_next`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._ends: dict[Partition, int] = {}
        self.aborts_next: list[BatchAborted] = []

    def write(self, outputs: Sequence[OutputRecord], progress: Progress, source: "MemorySource | MemoryLog") -> None:
        """See RecordSink.write."""
        if self.aborts_next:
            raise self.aborts_next.pop(0)
        for output in outputs:
            self._broker.append(output)
            if output.partition is not None:
                partition = Partition(output.topic, output.partition)
                self._ends[partition] = len(self._broker.log(partition))
        for partition, position in progress.items():
            self._broker.committed[source.group, partition] = position

    def end_offsets(self) -> dict[Partition, int]:
        """See RecordSink.end_offsets."""
        return self._ends

    def close(self) -> None:
        """See RecordSink.close."""


class MemoryLog:
    """See LogReader."""

    def __init__(self, broker: MemoryBroker, group: str) -> None:
        self._broker, self.group = broker, group

    def committed(self, partitions: Sequence[Partition]) -> dict[Partition, Position | None]:
        """See LogReader.committed."""
        return {each: self._broker.committed.get((self.group, each)) for each in partitions}

    def topics(self, names: Sequence[str]) -> dict[str, TopicShape]:
        """See LogReader.topics: here every topic exists that is not listed as missing."""
        return {
            name: TopicShape(self._broker.partitions, f"{name}-{self._broker.made[name]}")
            for name in names
            if name not in self._broker.missing
        }

    def beginning(self, partition: Partition) -> int:
        """See LogReader.beginning."""
        return self._broker.oldest.get(partition, 0)

    def end(self, partition: Partition) -> int:
        """See LogReader.end."""
        return len(self._broker.log(partition))

    def read(self, partition: Partition, start: int, end: int) -> Iterator[list[Record]]:
        """See LogReader.read."""
        if (start := max(start, self.beginning(partition))) < end:
            yield self._broker.log(partition)[start:end]

    def first_times(self, offsets: Mapping[Partition, int]) -> dict[Partition, int]:
        """See LogReader.first_times."""
        starts = {each: max(offset, self.beginning(each)) for each, offset in offsets.items()}
        logs = {each: self._broker.log(each) for each in offsets}
        return {each: logs[each][start].timestamp_ms for each, start in starts.items() if start < len(logs[each])}

    def close(self) -> None:
        """See LogReader.close."""

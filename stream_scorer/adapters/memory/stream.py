"""Kafka's ports in memory: topics, groups, and writes that are whole or not at all. It can be told to fail."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from confluent_kafka import murmur2

from stream_scorer.core.records import OutputRecord, Partition, Position, Progress, Record, TopicShape
from stream_scorer.errors import BatchAborted
from stream_scorer.ports import Assignment, Clock, Fetched


@dataclass
class MemoryBroker:
    """Topics of one partition count; every record is stamped when it is appended."""

    partitions: int
    clock: Clock
    committed: dict[tuple[str, Partition], Position] = field(default_factory=dict)
    made: Counter[str] = field(default_factory=Counter)
    """How often each topic was made anew."""
    _logs: dict[Partition, list[Record]] = field(default_factory=dict)

    def append(self, output: OutputRecord) -> None:
        """Append a record where its partition or murmur2 of its key says."""
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
        self._logs = {one: log for one, log in self._logs.items() if one.topic != name}
        self.committed = {place: position for place, position in self.committed.items() if place[1].topic != name}

    def topic(self, name: str) -> list[Record]:
        """Return all records of a topic, by partition and offset."""
        return [record for number in range(self.partitions) for record in self.log(Partition(name, number))]


class MemorySource:
    """See RecordSource; a group's only member, or one that is told what it holds."""

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
        self._told_end: set[Partition] = set()
        if not held:
            self._next = {one: self._committed(one) for one in self._gained}

    def _committed(self, partition: Partition) -> int:
        position = self._broker.committed.get((self.group, partition))
        return position.offset if position else 0

    def move_away(self, partitions: Sequence[Partition]) -> None:
        """Let another member have these from the next fetch on."""
        self._dropped += partitions

    def fetch(self, *, records_max: int, wait_s: float, linger_s: float) -> Fetched:
        """See RecordSource.fetch; an empty one waits on the broker's clock."""
        assignment = Assignment(tuple(self._gained), tuple(self._dropped))
        for one in self._dropped:
            self._next.pop(one, None)
        self._gained, self._dropped = [], []
        records: list[Record] = []
        for one, offset in self._next.items():
            records += self._broker.log(one)[offset : offset + records_max - len(records)]
        for record in records:
            self._next[Partition(record.topic, record.partition)] = record.offset + 1
            self._told_end.discard(Partition(record.topic, record.partition))  # an end behind new records is told anew
        ended = tuple(
            one
            for one, offset in self._next.items()
            if offset == len(self._broker.log(one)) and one not in self._told_end
        )
        self._told_end = {one for one, offset in self._next.items() if offset == len(self._broker.log(one))}
        if not records:
            self._broker.clock.sleep(wait_s)
        return Fetched(records, assignment, ended)

    def rewind(self) -> None:
        """See RecordSource.rewind."""
        self._next = {one: self._committed(one) for one in self._next}
        self._told_end.clear()

    def start(self, positions: Progress) -> None:
        """See RecordSource.start."""
        self._next.update({one: position.offset for one, position in positions.items()})
        self._told_end -= positions.keys()

    def hold(self, partitions: Sequence[Partition]) -> None:
        """See RecordSource.hold."""
        for one in partitions:
            self._next.pop(one, None)

    def still_at_end(self, partitions: Sequence[Partition]) -> bool:
        """See RecordSource.still_at_end."""
        return all(self._next.get(one) == len(self._broker.log(one)) for one in partitions)

    def lag(self) -> dict[Partition, int]:
        """See RecordSource.lag."""
        return {one: len(self._broker.log(one)) - offset for one, offset in self._next.items()}

    def close(self) -> None:
        """See RecordSource.close."""
        self._next = {}


class MemorySink:
    """See RecordSink; exactly once, unless told to abort the next writes."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._ends: dict[Partition, int] = {}
        self.aborts_next: list[BatchAborted] = []

    def write(self, outputs: Sequence[OutputRecord], progress: Progress, source: MemorySource) -> None:
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
        self._broker, self._group = broker, group

    def committed(self, partitions: Sequence[Partition]) -> dict[Partition, Position | None]:
        """See LogReader.committed."""
        return {one: self._broker.committed.get((self._group, one)) for one in partitions}

    def topics(self, names: Sequence[str]) -> dict[str, TopicShape]:
        """See LogReader.topics: here every topic exists."""
        return {name: TopicShape(self._broker.partitions, f"{name}-{self._broker.made[name]}") for name in names}

    def beginning(self, partition: Partition) -> int:
        """See LogReader.beginning."""
        return 0

    def end(self, partition: Partition) -> int:
        """See LogReader.end."""
        return len(self._broker.log(partition))

    def read(self, partition: Partition, start: int, end: int) -> Iterator[list[Record]]:
        """See LogReader.read."""
        if start < end:
            yield self._broker.log(partition)[start:end]

    def close(self) -> None:
        """See LogReader.close."""

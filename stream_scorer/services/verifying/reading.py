"""Reading the ring for `verify`: a snapshot of all positions, and all records, aborted ones included."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from stream_scorer.core.records import Partition, Record
from stream_scorer.core.verifying.judgements import Fault, JoinClock
from stream_scorer.ports import LogReader


@dataclass(frozen=True, slots=True)
class VerifyTopics:
    """The names of the topics that are checked."""

    requests: str
    acceptances: str
    rankings: str
    outcomes: str
    labels: str
    dead_letters: str


@dataclass(frozen=True, slots=True)
class Readers:
    """One reader for each group, whose committed positions it knows; `uncommitted` also reads aborted transactions.

    `buffer` None: how far the buffer has committed is not known.
    """

    rank: LogReader
    join: LogReader
    uncommitted: LogReader
    buffer: LogReader | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All positions when the check began.

    Records beyond `ends` are not read. No output is due for records beyond `settled`, the offset that their reader has
    committed.
    """

    topics: VerifyTopics
    partitions: Mapping[str, int]
    beginnings: Mapping[Partition, int]
    ends: Mapping[Partition, int]
    settled: Mapping[Partition, int]
    clocks: Mapping[int, JoinClock]

    def places(self, topic: str) -> list[Partition]:
        """Return the partitions of a topic."""
        return [Partition(topic, number) for number in range(self.partitions[topic])]

    @property
    def walked(self) -> frozenset[str]:
        """Return the topics whose records are checked; dead letters may be about others, such as offers."""
        topics = self.topics
        return frozenset({topics.requests, topics.acceptances, topics.rankings, topics.outcomes, topics.labels})

    @property
    def written_by_us(self) -> frozenset[str]:
        """Return the topics that our transactions write."""
        return frozenset({self.topics.rankings, self.topics.outcomes, self.topics.labels})

    def offsets(self) -> int:
        """Return how many offsets there are to read."""
        places = [place for place in self.ends if place.topic in self.walked | {self.topics.dead_letters}]
        return sum(self.ends[place] - self.beginnings[place] for place in places)

    def expired(self, topic: str) -> bool:
        """Return whether retention has taken the oldest records of a topic."""
        return any(self.beginnings[place] > 0 for place in self.places(topic))


def take_snapshot(readers: Readers, topics: VerifyTopics, partitions: Mapping[str, int]) -> Snapshot:
    """Read committed positions first, then the ends, so that all outputs of what is committed lie before the ends.

    The ends of dead letters come before all others, so that the record a dead letter is about lies before its end.
    """
    ordered = sorted(partitions, key=lambda topic: topic != topics.dead_letters)
    every = [Partition(topic, number) for topic in ordered for number in range(partitions[topic])]
    settled, clocks = join_positions(readers.join, topics, partitions)
    inputs = [one for one in every if one.topic in (topics.requests, topics.acceptances)]
    settled |= {
        one: position.offset for one, position in readers.rank.committed(inputs).items() if position is not None
    }
    ends = {one: readers.join.end(one) for one in every}
    return Snapshot(topics, partitions, {one: readers.join.beginning(one) for one in every}, ends, settled, clocks)


def expired_unread(snapshot: Snapshot) -> Iterator[Fault]:
    """Yield a fault for each partition where retention removed records before their reader came to them."""
    for place, committed in sorted(snapshot.settled.items()):
        gone = snapshot.beginnings.get(place, 0) - committed
        # a single offset of our own topics may be the marker that ends a transaction
        if gone > (place.topic in snapshot.written_by_us):
            what = f"its reader has committed {committed}, the oldest record kept is {snapshot.beginnings[place]}"
            yield Fault("records_expired_unread", f"{place.topic}[{place.number}]: {what}: up to {gone} went unread")


def differing_partitions(snapshot: Snapshot) -> Iterator[Fault]:
    """Yield a fault where partition counts differ: rankings would not meet their outcomes and labels."""
    topics, counts = snapshot.topics, snapshot.partitions
    ours = {topic: counts[topic] for topic in (topics.rankings, topics.outcomes, topics.labels)}
    if len(set(ours.values())) > 1:
        listed = ", ".join(f"{topic} has {count}" for topic, count in ours.items())
        yield Fault("partitions_differ", f"the partition counts must be equal: {listed}")


def join_positions(
    join: LogReader, topics: VerifyTopics, partitions: Mapping[str, int]
) -> tuple[dict[Partition, int], dict[int, JoinClock]]:
    """Return the joiners' committed offsets, and the clock of each partition that stands beside them."""
    places = [
        Partition(topic, number)
        for topic in (topics.rankings, topics.outcomes)
        for number in range(partitions.get(topic, 0))
    ]
    committed = {one: position for one, position in join.committed(places).items() if position is not None}
    clocks: dict[int, JoinClock] = {}
    for one, position in committed.items():
        # another program's metadata is no clock: the verdict counts the partitions that have none
        with suppress(ValueError):
            clocks |= {one.number: JoinClock.from_text(position.metadata)} if position.metadata else {}
    return {one: position.offset for one, position in committed.items()}, clocks


def with_aborted(readers: Readers, place: Partition, snapshot: Snapshot) -> Iterator[tuple[Record, bool]]:
    """Yield all records of a partition in order, and whether the transaction of each was aborted.

    Two reads go side by side: what the committed one leaves out was aborted.
    """
    first, end = snapshot.beginnings[place], snapshot.ends[place]
    committed = (record for batch in readers.join.read(place, first, end) for record in batch)
    following = next(committed, None)
    for batch in readers.uncommitted.read(place, first, end):
        for record in batch:
            stands = following is not None and following.offset == record.offset
            yield record, not stands
            if stands:
                following = next(committed, None)


def place_of(record: Record) -> str:
    """Return where a record lies, as faults name it."""
    return f"{record.topic}[{record.partition}]@{record.offset}"


def order_of(record: Record) -> int:
    """Return a number by which records of a topic are sorted: by partition, then by offset."""
    return record.partition << 40 | record.offset

"""Reading the ring for `verify`: a snapshot of how far everything is, and records with those that were aborted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stream_scorer.core.records import Partition, Record
from stream_scorer.core.verifying.judgements import JoinClock
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
    """`rank` and `join` know their groups' positions; `uncommitted` reads what was aborted too."""

    rank: LogReader
    join: LogReader
    uncommitted: LogReader


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How far everything was when the check began: what lies behind the ends is not read, what is not settled need not be answered."""

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
        """Return the topics whose records are read; dead letters may be about others."""
        topics = self.topics
        return frozenset({topics.requests, topics.acceptances, topics.rankings, topics.outcomes, topics.labels})

    def expired(self, topic: str) -> bool:
        """Return whether retention has taken the oldest records of a topic."""
        return any(self.beginnings[place] > 0 for place in self.places(topic))


def take_snapshot(readers: Readers, topics: VerifyTopics, partitions: Mapping[str, int]) -> Snapshot:
    """Note committed positions before the ends, so that what the positions promise lies before the ends.

    Dead letters' ends come before all others, so that what a dead letter is about lies before its own topic's end.
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


def join_positions(
    join: LogReader, topics: VerifyTopics, partitions: Mapping[str, int]
) -> tuple[dict[Partition, int], dict[int, JoinClock]]:
    """Return the joiners' positions, and each partition's clock."""
    places = [
        Partition(topic, number) for topic in (topics.rankings, topics.outcomes) for number in range(partitions[topic])
    ]
    committed = {one: position for one, position in join.committed(places).items() if position is not None}
    clocks = {
        one.number: JoinClock.from_text(position.metadata) for one, position in committed.items() if position.metadata
    }
    return {one: position.offset for one, position in committed.items()}, clocks


def with_aborted(readers: Readers, place: Partition, snapshot: Snapshot) -> Iterator[tuple[Record, bool]]:
    """Yield all records of a partition in order, and whether the transaction of each was aborted."""
    first, end = snapshot.beginnings[place], snapshot.ends[place]
    committed = (record for batch in readers.join.read(place, first, end) for record in batch)
    following = next(committed, None)
    for batch in readers.uncommitted.read(place, first, end):
        for record in batch:
            stands = following is not None and following.offset == record.offset
            yield record, not stands
            if stands:
                following = next(committed, None)

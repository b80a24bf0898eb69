"""What goes in and out of a batch: undecoded records, outputs, dead letters, and how far a batch has read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int


class TopicShape(NamedTuple):
    """How many partitions a topic has, and the id that the broker gave it when it was created.

    The id is "" where the broker states none.
    """

    partitions: int
    topic_id: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it came from Kafka; a value of None is a tombstone."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """A record to write; without a partition, murmur2 of the key decides, as in Java's default partitioner."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that can never be processed, with the reason; `message` holds no personal data."""

    record: Record
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Position:
    """The next offset to read of a partition, and metadata committed with it (at most 4,095 characters, no NUL)."""

    offset: int
    metadata: str = ""


Progress = Mapping[Partition, Position]


def progress_of(records: Sequence[Record]) -> dict[Partition, Position]:
    """Return, for every partition in the batch, the position just after its last record."""
    newest: dict[Partition, int] = {}
    for record in records:
        partition = Partition(record.topic, record.partition)
        newest[partition] = max(newest.get(partition, -1), record.offset)
    return {partition: Position(offset + 1) for partition, offset in newest.items()}

"""What goes in and out of a batch: undecoded records, outputs, dead letters, and how far a batch has read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import msgspec

_place_of = attrgetter("topic", "partition")
_offset_of = attrgetter("offset")
_time_of = attrgetter("timestamp_ms")


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


class Record(msgspec.Struct, frozen=True):
    """A record as it came from Kafka; a value of None is a tombstone."""

    # A struct, as is OutputRecord, because one is made for each record: a frozen dataclass takes ten times as long.

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Sequence[tuple[str, bytes]] = ()


class FormedRecord(Record, frozen=True, kw_only=True):
    """A record whose topic has another form than plain JSON: `value` is the JSON in it, `sent` the record as it lay.

    Where the form could not be read, `code` and `reason` say why, and the value is empty.
    """

    # A kind of record of its own, so that a plain one carries nothing more and costs nothing more.

    sent: Record
    code: str = ""
    reason: str = ""


def as_sent(record: Record) -> Record:
    """Return the record as it lies on its topic, bytes and headers untouched."""
    return record.sent if isinstance(record, FormedRecord) else record


class OutputRecord(msgspec.Struct, frozen=True):
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


def partitions_of(records: Iterable[Record]) -> list[Partition]:
    """Return the partitions that the records are from, each once, in the order of their first records."""
    # A Partition equals the plain tuple that attrgetter makes, so only the few different ones are built in Python.
    return [Partition(*place) for place in dict.fromkeys(map(_place_of, records))]


def last_times_of(records: Sequence[Record]) -> dict[Partition, int]:
    """Return, for every partition in the batch, the timestamp of its last record in milliseconds."""
    times = dict(zip(map(_place_of, records), map(_time_of, records), strict=True))  # the last of a partition stays
    return {Partition(*place): time_ms for place, time_ms in times.items()}


def offsets_of(records: Iterable[Record]) -> dict[Partition, list[int]]:
    """Return the offsets of each partition's records, in their order."""
    offsets: dict[tuple[str, int], list[int]] = {}
    for place, run in groupby(records, key=_place_of):
        offsets.setdefault(place, []).extend(map(_offset_of, run))
    return {Partition(*place): several for place, several in offsets.items()}


def progress_of(records: Sequence[Record]) -> dict[Partition, Position]:
    """Return, for every partition in the batch, the position just after its last record."""
    rising = sorted(records, key=_offset_of)
    newest = dict(zip(map(_place_of, rising), map(_offset_of, rising), strict=True))  # the last of a partition stays
    return {Partition(*place): Position(offset + 1) for place, offset in newest.items()}

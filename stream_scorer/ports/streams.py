"""Records in and out: members of groups, sinks, stretches of logs, and the clock that all of them wait by."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from stream_scorer.core.records import OutputRecord, Partition, Position, Progress, Record, TopicShape


class Clock(Protocol):
    """Time and waiting."""

    def now_ms(self) -> int:
        """Return the wall clock, milliseconds since the epoch, UTC."""

    def monotonic_s(self) -> float:
        """Return seconds that never go backwards."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Partitions assigned and revoked during a fetch; those `gained` by a source that pauses deliver after `start`."""

    gained: tuple[Partition, ...] = ()
    dropped: tuple[Partition, ...] = ()


@dataclass(frozen=True, slots=True)
class Fetched:
    """The records of one poll.

    `ended`: partitions whose end was reached in it · `troubles`: passing errors, to be logged · `member`: the group has
    assigned this member its share of the partitions, which may be none.
    """

    records: list[Record]
    assignment: Assignment = Assignment()
    ended: tuple[Partition, ...] = ()
    troubles: tuple[str, ...] = ()
    member: bool = True


class RecordSource(Protocol):
    """A member of a consumer group. One thread only."""

    def fetch(self, *, records_max: int, wait_s: float, linger_s: float) -> Fetched:
        """Wait for the first record at most `wait_s`, then fill for at most `linger_s`.

        Partitions are assigned and revoked only inside this call; no record of a revoked one is returned.
        """

    def rewind(self) -> None:
        """Read again from the committed positions, in the partitions that are still assigned."""

    def start(self, positions: Progress) -> None:
        """Resume paused partitions, from these offsets."""

    def hold(self, partitions: Sequence[Partition]) -> None:
        """Pause these partitions until `start`, and drop records of theirs that were fetched ahead."""

    def still_at_end(self, partitions: Sequence[Partition]) -> bool:
        """Ask the broker whether all of these, whose ends were reached, have nothing more to read by now.

        False when it does not answer.
        """

    def lag(self) -> dict[Partition, int]:
        """Return how many offsets each started partition is behind its end, as last known.

        One of which nothing has come yet, neither a record nor its end, is left out: its position is not known.
        """

    def close(self) -> None:
        """Leave the group."""


SourceT = TypeVar("SourceT", bound="RecordSource | LogReader", contravariant=True)


class RecordSink(Protocol[SourceT]):
    """Writes outputs together with the progress of a source; or of a reader, whose group has no members.

    Made before its source joins: it ends what a predecessor left open.
    """

    def write(self, outputs: Sequence[OutputRecord], progress: Progress, source: SourceT) -> None:
        """Write all of it, or nothing (exactly once); or outputs first, then progress (at least once).

        Raises BatchAborted when nothing was written, FatalStreamError when that is unknown.
        """

    def end_offsets(self) -> dict[Partition, int]:
        """Return, per output partition, the offset behind the last record known to be written by this sink."""

    def close(self) -> None:
        """Flush and leave."""


class LogReader(Protocol):
    """Reads stretches of partitions outside any group, read_committed, to rebuild state."""

    def committed(self, partitions: Sequence[Partition]) -> dict[Partition, Position | None]:
        """Return the group's positions, after any open transaction of a predecessor has ended.

        None: never committed.
        """

    def topics(self, names: Sequence[str]) -> dict[str, TopicShape]:
        """Return the shapes of those of the topics that exist, and that this user may see."""

    def beginning(self, partition: Partition) -> int:
        """Return the offset of the oldest record kept."""

    def end(self, partition: Partition) -> int:
        """Return the offset behind the last record, aborted or open ones counted."""

    def read(self, partition: Partition, start: int, end: int) -> Iterator[list[Record]]:
        """Yield the committed records of [start, end) in batches."""

    def first_times(self, offsets: Mapping[Partition, int]) -> dict[Partition, int]:
        """Return, in milliseconds, the timestamp of the first record at or behind each offset.

        A partition of which nothing comes within two seconds is left out, as is one that has nothing there.
        """

    def close(self) -> None:
        """Let go."""


@dataclass(frozen=True, slots=True)
class Event:
    """A record to send; `event_time_ms` is the event's own time, where it has one."""

    key: bytes | None
    value: bytes | None
    event_time_ms: int | None = None


class RecordFeed(Protocol):
    """Writes records outside any transaction, as fast as it can: events into the ring."""

    def send(self, records: Sequence[OutputRecord]) -> None:
        """Hand records over; what cannot be delivered is counted, not raised.

        Raises TransientError or FatalStreamError, as `flush` does, when the client can send nothing any more.
        """

    def flush(self) -> None:
        """Wait until everything is delivered or given up."""

    def failures(self) -> Counter[str]:
        """Return how many records were not delivered, by reason."""

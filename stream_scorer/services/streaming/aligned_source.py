"""Watermark alignment: a backlog is handed on in the order of event time over all partitions of a member.

See `core/ranking/alignment.py` for the order itself; here is what it needs to know of the source.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Generic, TypeVar

from stream_scorer.core.ranking.alignment import InStep
from stream_scorer.core.records import OutputRecord, Partition, Progress, Record, partitions_of
from stream_scorer.ports import Clock, Fetched, RecordSink, RecordSource

MemberT = TypeVar("MemberT", bound=RecordSource)

BACKLOG_RECORDS = 100  # fewer, markers of transactions among them, are read in a moment
LOOK_EVERY_S = 0.1
WAITING_POLL_S = 0.02


class AlignedSource(Generic[MemberT]):
    """See RecordSource; records of one partition wait for those of the others that have a backlog."""

    def __init__(self, source: MemberT, *, clock: Clock) -> None:
        self.source = source
        self._clock = clock
        self._order = InStep()
        self._owned: set[Partition] = set()
        self._at_end: set[Partition] = set()
        self._ended_later: dict[Partition, None] = {}
        self._nobody_behind_s = -inf

    def fetch(self, *, records_max: int, wait_s: float, linger_s: float) -> Fetched:
        """See RecordSource.fetch; an end is handed on behind the records that wait."""
        patience_s = min(wait_s, WAITING_POLL_S) if self._order else wait_s
        fetched = self.source.fetch(records_max=records_max, wait_s=patience_s, linger_s=linger_s)
        if fetched.assignment.dropped:
            self._forget(fetched.assignment.dropped)
        self._owned.difference_update(fetched.assignment.dropped)
        self._owned.update(fetched.assignment.gained)
        self._note_ends(fetched)
        records = self._aligned(fetched, records_max)
        ended = tuple(one for one in self._ended_later if not self._order.held_of(one))
        self._ended_later = {one: None for one in self._ended_later if self._order.held_of(one)}
        return replace(fetched, records=records, ended=ended)

    def _note_ends(self, fetched: Fetched) -> None:
        for partition in partitions_of(fetched.records):
            self._at_end.discard(partition)
            self._ended_later.pop(partition, None)
        self._at_end.update(fetched.ended)
        self._ended_later |= dict.fromkeys(fetched.ended)

    def _aligned(self, fetched: Fetched, records_max: int) -> list[Record]:
        now_s = self._clock.monotonic_s()
        if not (self._order or fetched.assignment.gained or now_s - self._nobody_behind_s >= LOOK_EVERY_S):
            return fetched.records  # nobody was behind a moment ago
        behind = self._behind()
        self._nobody_behind_s = -inf if behind else now_s
        self._order.add(fetched.records, now_s)
        return self._order.take(behind, records_max=records_max, now_s=now_s)

    def _behind(self) -> list[Partition]:
        """Return the partitions with a backlog, or of which nothing has come yet."""
        lags = self.source.lag()
        return [one for one in self._owned - self._at_end if lags.get(one, BACKLOG_RECORDS + 1) > BACKLOG_RECORDS]

    def _forget(self, partitions: Sequence[Partition]) -> None:
        """Forget what waits of partitions that are read no more, or again from elsewhere.

        What comes next may be a backlog.
        """
        self._nobody_behind_s = -inf
        self._order.drop(partitions)
        self._at_end.difference_update(partitions)
        for one in partitions:
            self._ended_later.pop(one, None)

    def rewind(self) -> None:
        """See RecordSource.rewind."""
        self.source.rewind()
        self._forget(list(self._owned))

    def start(self, positions: Progress) -> None:
        """See RecordSource.start."""
        self.source.start(positions)
        self._forget(list(positions))

    def hold(self, partitions: Sequence[Partition]) -> None:
        """See RecordSource.hold."""
        self.source.hold(partitions)
        self._forget(partitions)

    def still_at_end(self, partitions: Sequence[Partition]) -> bool:
        """See RecordSource.still_at_end."""
        return not any(map(self._order.held_of, partitions)) and self.source.still_at_end(partitions)

    def lag(self) -> dict[Partition, int]:
        """See RecordSource.lag; what waits here is not read yet."""
        return {one: behind + self._order.held_of(one) for one, behind in self.source.lag().items()}

    def close(self) -> None:
        """See RecordSource.close."""
        self.source.close()


class AlignedSink(Generic[MemberT]):
    """See RecordSink; writes with the progress of the member below the alignment."""

    def __init__(self, sink: RecordSink[MemberT]) -> None:
        self._sink = sink

    def write(self, outputs: Sequence[OutputRecord], progress: Progress, source: AlignedSource[MemberT]) -> None:
        """See RecordSink.write."""
        self._sink.write(outputs, progress, source.source)

    def end_offsets(self) -> dict[Partition, int]:
        """See RecordSink.end_offsets."""
        return self._sink.end_offsets()

    def close(self) -> None:
        """See RecordSink.close."""
        self._sink.close()

"""Puts the records of several partitions in the order of event time, as if reading had never fallen behind.

A client returns a backlog partition by partition. Ranked in that order, event times would jump back by as much as the
backlog is long, and the join would take answers for late that were not. So the records of a partition wait while
another partition, with a backlog of its own, has not been read as far. Within a partition the order stays; at equal
times, the partition that was read first comes first.
"""

import re
from collections import deque
from collections.abc import Collection, Sequence
from heapq import merge
from itertools import islice, takewhile
from math import inf
from operator import itemgetter

from stream_scorer.core.records import Partition, Record, partitions_of

HELD_RECORDS_MAX = 50_000
HELD_BYTES_MAX = 32 * 2**20
SILENT_S = 2.0  # a partition that yields nothing for so long is waited for no more
_time_of = itemgetter(0)
_event_time_in = re.compile(rb'"event_time_ms"\s*:\s*(\d{1,15})').search

Waiting = deque[tuple[int, Record]]  # by time, which never falls


class InStep:
    """Holds records until no partition with a backlog can yield an earlier event time.

    The number of waiting records, their bytes, and the wait for a silent partition are bounded.
    """

    def __init__(self) -> None:
        # A queue a partition, merged as far as records are taken: to sort all that waits would cost every batch as much
        # as the backlog is long.
        self._waiting: dict[Partition, Waiting] = {}
        self._count = self._bytes = 0
        self._newest_ms: dict[Partition, int] = {}
        self._heard_s: dict[Partition, float] = {}  # of those behind: their newest record, else when they fell behind

    def __len__(self) -> int:
        """Return how many records wait."""
        return self._count

    def held_of(self, partition: Partition) -> int:
        """Return how many records of a partition wait."""
        return len(self._waiting.get(partition, ()))

    def add(self, records: Sequence[Record], now_s: float) -> None:
        """Add records, which must be in the order of offsets within each partition."""
        for partition in partitions_of(records):
            self._heard_s[partition] = now_s
            self._newest_ms.setdefault(partition, 0)
            self._waiting.setdefault(partition, deque())
        for record in records:
            place: Partition = (record.topic, record.partition)  # type: ignore[assignment]  # equal, and made sooner
            # A partition's times must never fall, or merging by time would reorder its offsets.
            self._newest_ms[place] = time_ms = max(_time_ms(record), self._newest_ms[place])
            self._waiting[place].append((time_ms, record))
        self._count += len(records)
        self._bytes += _bytes_of(records)

    def take(self, behind: Collection[Partition], *, records_max: int, now_s: float) -> list[Record]:
        """Return the records, up to `records_max`, that no record yet to come from `behind` can precede.

        `behind` are the partitions with a backlog. Where too many records or bytes wait, any record may be returned.
        """
        self._heard_s = {one: self._heard_s.get(one, now_s) for one in behind}
        waited_for = [one for one, heard_s in self._heard_s.items() if now_s - heard_s < SILENT_S]
        safe_ms = inf
        if waited_for and self._count < HELD_RECORDS_MAX and self._bytes < HELD_BYTES_MAX:
            # A partition that has yielded nothing yet may begin at any time: -1 lets no record pass.
            safe_ms = min(self._newest_ms.get(one, -1) for one in waited_for)
        by_time = merge(*self._waiting.values(), key=_time_of)
        taken = [record for _, record in takewhile(lambda each: each[0] <= safe_ms, islice(by_time, records_max))]
        for record in taken:
            self._waiting[record.topic, record.partition].popleft()  # type: ignore[index]  # as in `add`
        self._count -= len(taken)
        self._bytes -= _bytes_of(taken)
        return taken

    def drop(self, partitions: Collection[Partition]) -> None:
        """Forget partitions that are no longer read, or are read again from another offset."""
        for one in partitions:
            gone = [record for _, record in self._waiting.pop(one, ())]
            self._count -= len(gone)
            self._bytes -= _bytes_of(gone)
            self._newest_ms.pop(one, None)
            self._heard_s.pop(one, None)


def _bytes_of(records: Sequence[Record]) -> int:
    return sum([len(record.value or b"") for record in records])


def _time_ms(record: Record) -> int:
    """Return a record's event time without decoding it, or its timestamp where it states no event time.

    It is never later than the timestamp, so that a wrong event time does little harm.
    """
    found = _event_time_in(record.value or b"")
    return record.timestamp_ms if found is None else min(int(found[1]), record.timestamp_ms)

"""Puts the records of several partitions in the order of event time, as if reading had never fallen behind.

A client returns a backlog partition by partition. Ranked in that order, event times would jump back by as much as the
backlog is long, and the join would take answers for late that were not. So the records of a partition wait while
another partition, with a backlog of its own, has not been read as far. Within a partition the order stays.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Sequence
from operator import itemgetter

from stream_scorer.core.records import Partition, Record

HELD_RECORDS_MAX = 50_000
HELD_BYTES_MAX = 32 * 2**20
SILENT_S = 2.0  # a partition that yields nothing for so long is waited for no more
_time_of = itemgetter(0)
_event_time_in = re.compile(rb'"event_time_ms"\s*:\s*(\d{1,15})').search


class InStep:
    """Holds records until no partition with a backlog can yield an earlier event time.

    The number of waiting records, their bytes, and the wait for a silent partition are bounded.
    """

    def __init__(self) -> None:
        self._held: list[tuple[int, Record]] = []  # by time
        self._bytes = 0
        self._counts: Counter[Partition] = Counter()
        self._newest_ms: dict[Partition, int] = {}
        self._heard_s: dict[Partition, float] = {}  # of those behind: their newest record, else when they fell behind

    def __len__(self) -> int:
        """Return how many records wait."""
        return len(self._held)

    def held_of(self, partition: Partition) -> int:
        """Return how many records of a partition wait."""
        return self._counts[partition]

    def add(self, records: Sequence[Record], now_s: float) -> None:
        """Add records, which must be in the order of offsets within each partition."""
        for record in records:
            partition = Partition(record.topic, record.partition)
            # A partition's times must never fall, or sorting by time would reorder its offsets.
            time_ms = max(_time_ms(record), self._newest_ms.get(partition, 0))
            self._newest_ms[partition] = time_ms
            self._heard_s[partition] = now_s
            self._counts[partition] += 1
            self._bytes += len(record.value or b"")
            self._held.append((time_ms, record))
        self._held.sort(key=_time_of)  # stable, so a partition's records stay in order

    def take(self, behind: Collection[Partition], *, records_max: int, now_s: float) -> list[Record]:
        """Return the records, up to `records_max`, that no record yet to come from `behind` can precede.

        `behind` are the partitions with a backlog. Where too many records or bytes wait, any record may be returned.
        """
        self._heard_s = {one: self._heard_s.get(one, now_s) for one in behind}
        waited_for = [one for one, heard_s in self._heard_s.items() if now_s - heard_s < SILENT_S]
        count = len(self._held)
        if waited_for and count < HELD_RECORDS_MAX and self._bytes < HELD_BYTES_MAX:
            # A partition that has yielded nothing yet may begin at any time: -1 lets no record pass.
            count = bisect_right(self._held, min(self._newest_ms.get(one, -1) for one in waited_for), key=_time_of)
        taken = [record for _, record in self._held[: min(count, records_max)]]
        del self._held[: len(taken)]
        for record in taken:
            self._counts[Partition(record.topic, record.partition)] -= 1
            self._bytes -= len(record.value or b"")
        return taken

    def drop(self, partitions: Collection[Partition]) -> None:
        """Forget partitions that are no longer read, or are read again from another offset."""
        self._held = [
            (time_ms, record)
            for time_ms, record in self._held
            if Partition(record.topic, record.partition) not in partitions
        ]
        self._bytes = sum(len(record.value or b"") for _, record in self._held)
        for one in partitions:
            self._counts.pop(one, None)
            self._newest_ms.pop(one, None)
            self._heard_s.pop(one, None)


def _time_ms(record: Record) -> int:
    """Return a record's event time without decoding it, or its timestamp where it states no event time.

    It is never later than the timestamp, so that a wrong event time does little harm.
    """
    found = _event_time_in(record.value or b"")
    return record.timestamp_ms if found is None else min(int(found[1]), record.timestamp_ms)

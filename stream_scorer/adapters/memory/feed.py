"""A RecordFeed that keeps what it is given."""

from collections import Counter
from collections.abc import Callable, Sequence

from stream_scorer.core.records import OutputRecord


class MemoryFeed:
    """See RecordFeed. `refuse` gives the reason for a record that cannot be delivered."""

    def __init__(self, refuse: Callable[[OutputRecord], str | None] = lambda record: None) -> None:
        self.records: list[OutputRecord] = []
        self._refuse = refuse
        self._failures: Counter[str] = Counter()

    def send(self, records: Sequence[OutputRecord]) -> None:
        """See RecordFeed.send."""
        for record in records:
            if reason := self._refuse(record):
                self._failures[reason] += 1
            else:
                self.records.append(record)

    def flush(self) -> None:
        """See RecordFeed.flush."""

    def failures(self) -> Counter[str]:
        """See RecordFeed.failures."""
        return self._failures
